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

// The first number above every source and every target: there descriptors are out of the way.
static int parking_place(const struct coppice_birth *birth) {
    int place = birth->count;
    for (int index = 0; index < birth->count; index++)
        if (birth->descriptors[index] >= place) place = birth->descriptors[index] + 1;
    return place;
}

// In the new process, which has a copy of this one's memory and may do nothing but system calls: returns what failed.
static int become(const struct coppice_birth *birth) {
    if (setpgid(0, 0) != 0) return errno;
    // Those that may not be changed are refused, which is as it should be.
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
    // Two steps, since a source may stand where a target goes: first out of the way, then into place.
    int parking = parking_place(birth);
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

int coppice_spawn_into_cgroup(const struct coppice_birth *birth, int *pidfd) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return -errno;
    // The pipe's end must not stand where the new process puts its descriptors.
    int telling = fcntl(report[1], F_DUPFD_CLOEXEC, parking_place(birth) + birth->count);
    int failure = telling < 0 ? errno : 0;
    close(report[1]);
    if (failure != 0) {
        close(report[0]);
        return -failure;
    }
    int opened = -1;
    struct clone_args arguments = {
        // Without CLONE_VM it has a stack of its own. With CLONE_VFORK this one goes on when it has executed or ended.
        .flags = CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP,
        .pidfd = (uint64_t)(uintptr_t)&opened,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)birth->cgroup,
    };
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        int what = become(birth);
        ssize_t ignored = write(telling, &what, sizeof what);
        (void)ignored;
        _exit(127);
    }
    failure = pid < 0 ? errno : 0;
    close(telling);
    // Nobody else holds the other end: this reads the failure, or nothing at all.
    if (failure == 0 && read(report[0], &failure, sizeof failure) == sizeof failure) {
        waitpid((pid_t)pid, NULL, 0);
        close(opened);
    }
    close(report[0]);
    if (failure != 0) return -failure;
    *pidfd = opened;
    return (int)pid;
}
