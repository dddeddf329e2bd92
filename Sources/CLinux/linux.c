#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

int coppice_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int coppice_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, 0, 0); }

int coppice_set_dumpable(int on) { return prctl(PR_SET_DUMPABLE, on, 0, 0, 0); }

int coppice_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

int coppice_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int coppice_open(const char *path, int flags, unsigned mode) { return open(path, flags, mode); }

int coppice_open_program(const char *path) { return open(path, O_PATH | O_CLOEXEC); }

int coppice_set_descriptor_limit(int pid, uint64_t soft, uint64_t hard) {
    struct rlimit limit = {soft, hard};
    return prlimit(pid, RLIMIT_NOFILE, &limit, 0);
}

int coppice_set_soft_data_limit(int pid, uint64_t soft, uint64_t *before)
{
    struct rlimit limit;
    if (prlimit(pid, RLIMIT_DATA, NULL, &limit) != 0) return -errno;
    *before = limit.rlim_cur;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    return prlimit(pid, RLIMIT_DATA, &limit, NULL) == 0 ? 0 : -errno;
}

int coppice_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int coppice_close_from(void *actions, int first) { return posix_spawn_file_actions_addclosefrom_np(actions, first); }

int coppice_inotify_file(const char *path) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) < 0) {
        int failure = errno;
        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

char **coppice_environment(void) { return environ; }

int coppice_processor_count(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
int coppice_is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

void coppice_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

void coppice_line_buffer_output(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stderr, NULL, _IOLBF, 0);
}

// The mark that stands in a stream's buffer until a line behind it sends both. One thread begins and ends output.
static char mark[24];
static size_t mark_length;

void coppice_begin_output(uint64_t assignment) {
    mark_length = (size_t)snprintf(mark, sizeof mark, "\x1e%llu\x1f", (unsigned long long)assignment);
    FILE *streams[] = {stdout, stderr};
    for (int i = 0; i < 2; i++) fwrite(mark, 1, mark_length, streams[i]);
}

void coppice_end_output(void) {
    FILE *streams[] = {stdout, stderr};
    for (int i = 0; i < 2; i++) {
        FILE *stream = streams[i];
        flockfile(stream);
        // What is buffered lies between these two, by glibc's public definition of FILE.
        size_t buffered = (size_t)(stream->_IO_write_ptr - stream->_IO_write_base);
        if (buffered == mark_length && memcmp(stream->_IO_write_base, mark, buffered) == 0) {
            __fpurge(stream);
        } else {
            fputs_unlocked("\x1e" "0\x1f", stream);
            fflush_unlocked(stream);
        }
        funlockfile(stream);
    }
}

int coppice_reap(int pidfd, struct coppice_exit *result) {
    siginfo_t info;
    struct rusage usage;
    info.si_pid = 0;
    // glibc's waitid hides the fifth argument, what the process has used. P_PIDFD is 3; glibc 2.36 has it in a header that clashes with
    // the kernel's.
    if (syscall(SYS_waitid, 3, pidfd, &info, WEXITED | WNOHANG, &usage) != 0) return -errno;
    if (info.si_pid == 0) return 0;
    result->status = info.si_status;
    result->signaled = info.si_code != CLD_EXITED;
    result->cpu_microseconds = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    result->peak_kilobytes = usage.ru_maxrss;
    return 1;
}

long coppice_attribute(const char *path, const char *name, void *value, unsigned long size) { return getxattr(path, name, value, size); }
