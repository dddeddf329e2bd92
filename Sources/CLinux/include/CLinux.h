// What Swift can't import of Linux: variadic calls, macros with casts, and system calls without a wrapper in glibc 2.36.
// Plain types only, so that no system header stands in this module and again in Glibc's.
#pragma once
#include <stdint.h>

int coppice_pidfd_open(int pid);
int coppice_pidfd_send_signal(int pidfd, int signal);
int coppice_set_dumpable(int on);
int coppice_set_parent_death_signal(int signal);
int coppice_set_nonblocking(int fd);
int coppice_open(const char *path, int flags, unsigned mode);
// For its name and its execution alone: no right to read is wanted.
int coppice_open_program(const char *path);
int coppice_set_descriptor_limit(int pid, uint64_t soft, uint64_t hard);
// The soft limit of data (private writable memory) of a process, as far as its hard limit allows. `before`: what it was.
// 0 or a negative errno.
int coppice_set_soft_data_limit(int pid, uint64_t soft, uint64_t *before);
int coppice_pipe(int ends[2]);
// `actions` is a posix_spawn_file_actions_t.
int coppice_close_from(void *actions, int first);
int coppice_inotify_file(const char *path);
char **coppice_environment(void);
int coppice_processor_count(void);
int coppice_is_open(int fd);
void coppice_name_thread(const char *name);
void coppice_line_buffer_output(void);
// What stdio prints from here on is this assignment's: the first of it takes a mark along. Costs no system call.
void coppice_begin_output(uint64_t assignment);
// Takes the mark back, or if something was printed sends all of it and the mark of nobody.
void coppice_end_output(void);
// The size of the attribute's value, of which as much as fits is put into `value`; -1: there is none.
long coppice_attribute(const char *path, const char *name, void *value, unsigned long size);

// How a child ended.
struct coppice_exit {
    int status; // exit code or signal number
    int signaled;
    int64_t cpu_microseconds; // user and system, of the process and of what it has waited for
    int64_t peak_kilobytes;   // ru_maxrss, which begins with the peak of the process that spawned it
};

// Reaps the process behind a pidfd: 1 and its end, 0 while it runs, a negative errno.
int coppice_reap(int pidfd, struct coppice_exit *result);

// A process to be born in a cgroup.
struct coppice_birth {
    const char *path;
    char *const *arguments;   // ends with a null pointer
    char *const *environment; // likewise
    const int *descriptors;   // what becomes its 0, 1, 2, …
    int count;
    int cgroup; // the open folder
};

// Whether this process may call clone3: a filter of system calls hides it where it is to look into clone's arguments.
int coppice_may_spawn_into_cgroup(void);

// Starts it in a process group of its own, with no signal blocked, ignored or handled. Its pid, and its pidfd in `*pidfd`; a negative
// errno of the fork or of execve.
int coppice_spawn_into_cgroup(const struct coppice_birth *birth, int *pidfd);
