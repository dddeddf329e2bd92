#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What posix_spawn does, and CLONE_INTO_CGROUP, which glibc has from 2.39 on. As there, the new process borrows this one's memory and
// stack until it executes, while this one waits: a copy of the memory, as fork makes, takes the longer the larger the master is.

struct work {
    const struct coppice_birth *birth;
    int failure; // errno of the new process, which writes it here: the memory is shared
};

static int become(const struct coppice_birth *birth) {
    if (setpgid(0, 0) != 0) return errno;
    // By the system call, since glibc's function refuses the two signals that glibc uses. All of the kernel's structure is 0: SIG_DFL, no
    // flags, an empty mask. For SIGKILL and SIGSTOP it is refused, as it should be.
    static const unsigned long standard[4];
    for (int number = 1; number < NSIG; number++) syscall(SYS_rt_sigaction, number, standard, NULL, sizeof(uint64_t));
    // Two steps, since a source may stand where a target goes: first out of the way, above every source, then into place.
    int parking = birth->count;
    for (int index = 0; index < birth->count; index++)
        if (birth->descriptors[index] >= parking) parking = birth->descriptors[index] + 1;
    for (int index = 0; index < birth->count; index++)
        if (dup3(birth->descriptors[index], parking + index, O_CLOEXEC) < 0) return errno;
    for (int index = 0; index < birth->count; index++)
        if (dup2(parking + index, index) < 0) return errno;
    if (syscall(SYS_close_range, birth->count, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return errno;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(birth->path, birth->arguments, birth->environment);
    return errno;
}

// A function of its own: what it writes to the stack is below the frame that the waiting process goes on with.
static _Noreturn __attribute__((noinline)) void run(struct work *work) {
    work->failure = become(work->birth);
    _exit(127);
}

// Returns twice, like fork. Inline, since a function that was returned from once could not be returned from again.
static inline __attribute__((always_inline)) long clone3(struct clone_args *arguments, size_t size) {
#if defined(__x86_64__)
    long result = SYS_clone3;
    __asm__ volatile("syscall" : "+a"(result) : "D"(arguments), "S"(size) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)arguments;
    register size_t length __asm__("x1") = size;
    __asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(length) : "memory");
    return result;
#else
#error "clone3 is written for x86-64 and AArch64"
#endif
}

// The kernel refuses arguments of no size before it does anything.
int coppice_may_spawn_into_cgroup(void) { return clone3(NULL, 0) == -EINVAL; }

int coppice_spawn_into_cgroup(const struct coppice_birth *birth, int *pidfd) {
    struct work work = {birth, 0};
    int opened = -1;
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP,
        .pidfd = (uint64_t)(uintptr_t)&opened,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)birth->cgroup,
    };
    // No handler of ours may run in the new process.
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    long pid = clone3(&arguments, sizeof arguments);
    if (pid == 0) run(&work);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) return (int)pid;
    if (work.failure != 0) {
        waitpid((pid_t)pid, NULL, 0);
        close(opened);
        return -work.failure;
    }
    *pidfd = opened;
    return (int)pid;
}
