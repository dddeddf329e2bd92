// coppice-exec: becomes a child, after what posix_spawn can't do to it.
//
//     coppice-exec 1 [STEP…] -- PATH
//
// The first argument is the format's version. The steps, in the order in which they are taken, whatever their order here:
//
//     cgroup=PATH         moves into the cgroup whose folder that is
//     files=SOFT:HARD     RLIMIT_NOFILE
//     data=BYTES          RLIMIT_DATA, soft and hard
//     processes=N         RLIMIT_NPROC, soft and hard
//     user=UID:GID        real, effective and saved ids; all capabilities go
//     groups=GID,GID…     the supplementary groups, with user= alone; none if not given
//     no-new-privileges   what is executed from now on gains no rights
//     program=FD          executes the file that descriptor FD holds, of which PATH is then the name alone
//
// It is small and linked statically, since it stands in the way of each start: no allocation, no locale, no look-up of names.
// A step that fails says so on standard error and ends the process with 126; PATH that can't be executed, with 127.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define STEP_FAILED 126
#define EXEC_FAILED 127
#define MOST_GROUPS 1024

static struct iovec text(const char *words) { return (struct iovec){(void *)words, strlen(words)}; }

// One line, in one piece, so that nothing stands between its words.
static _Noreturn void fail(int code, const char *what, const char *which) {
    const char *reason = strerrordesc_np(errno);
    struct iovec line[] = {text("coppice-exec: "), text(what), text(which), text(": "), text(reason ? reason : "unknown error"), text("\n")};
    ssize_t ignored = writev(2, line, sizeof line / sizeof *line);
    (void)ignored;
    _exit(code);
}

static _Noreturn void misuse(const char *argument) {
    errno = EINVAL;
    fail(STEP_FAILED, "argument ", argument);
}

// What follows `name` and an equals sign; NULL if `argument` is not of that name.
static const char *value(const char *argument, const char *name) {
    size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

// A decimal number that ends with `end`; moves `*from` behind that, or to the terminating null.
static unsigned long number(const char **from, char end, const char *argument) {
    char *stop;
    if (**from < '0' || **from > '9') misuse(argument);
    errno = 0;
    unsigned long result = strtoul(*from, &stop, 10);
    if (errno != 0 || (*stop != end && *stop != 0)) misuse(argument);
    *from = *stop ? stop + 1 : stop;
    return result;
}

static void limit(int resource, const char *bound, const char *argument) {
    rlim_t most = number(&bound, 0, argument);
    struct rlimit both = {most, most};
    if (setrlimit(resource, &both) != 0) fail(STEP_FAILED, "limit ", argument);
}

static void limit_files(const char *bounds) {
    const char *rest = bounds;
    rlim_t soft = number(&rest, ':', bounds);
    struct rlimit both = {soft, number(&rest, 0, bounds)};
    if (setrlimit(RLIMIT_NOFILE, &both) != 0) fail(STEP_FAILED, "limit files ", bounds);
}

// The kernel may take up to 40 ms for it: here it is this process that waits, and nobody else.
static void enter(const char *cgroup) {
    int folder = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int processes = folder < 0 ? -1 : openat(folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (processes < 0 || write(processes, "0", 1) != 1) fail(STEP_FAILED, "enter ", cgroup);
    close(processes);
    close(folder);
}

static void become(const char *ids, const char *groups) {
    const char *rest = ids;
    uid_t user = number(&rest, ':', ids);
    gid_t group = number(&rest, 0, ids);
    gid_t list[MOST_GROUPS];
    size_t count = 0;
    for (rest = groups ? groups : ""; *rest;) {
        if (count == MOST_GROUPS) misuse(groups);
        list[count++] = number(&rest, ',', groups);
    }
    // Groups first: whoever is no longer root may not change them.
    if (setgroups(count, list) != 0) fail(STEP_FAILED, "supplementary groups ", groups ? groups : "none");
    if (setresgid(group, group, group) != 0) fail(STEP_FAILED, "group of ", ids);
    if (setresuid(user, user, user) != 0) fail(STEP_FAILED, "user of ", ids);
    // Who was root has lost them by now; who was another user with CAP_SETUID has not.
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none) != 0) fail(STEP_FAILED, "capabilities of ", ids);
    // The way back must be closed.
    if (user != 0 && (setresuid(0, 0, 0) == 0 || setresgid(group, 0, group) == 0)) {
        errno = EPERM;
        fail(STEP_FAILED, "it could become root again: ", ids);
    }
}

// What stands at the program's path by now may be another one.
static void execute(const char *descriptor, char **program, char **environment) {
    const char *rest = descriptor;
    int file = (int)number(&rest, 0, descriptor);
    // The program is not to have a descriptor that its master did not give it.
    if (fcntl(file, F_SETFD, FD_CLOEXEC) != 0) return;
    syscall(SYS_execveat, file, "", program, environment, AT_EMPTY_PATH);
    // A script: its interpreter opens it by the descriptor's number.
    if (errno != ENOENT || fcntl(file, F_SETFD, 0) != 0) return;
    syscall(SYS_execveat, file, "", program, environment, AT_EMPTY_PATH);
}

int main(int count, char **arguments, char **environment) {
    if (count < 2 || strcmp(arguments[1], "1") != 0) misuse("1: the version of the format");
    const char *cgroup = NULL, *files = NULL, *data = NULL, *processes = NULL, *user = NULL, *groups = NULL, *descriptor = NULL;
    int forbids = 0, index = 2;
    for (; index < count && strcmp(arguments[index], "--") != 0; index++) {
        const char *argument = arguments[index], *found;
        if ((found = value(argument, "cgroup")))
            cgroup = found;
        else if ((found = value(argument, "files")))
            files = found;
        else if ((found = value(argument, "data")))
            data = found;
        else if ((found = value(argument, "processes")))
            processes = found;
        else if ((found = value(argument, "user")))
            user = found;
        else if ((found = value(argument, "groups")))
            groups = found;
        else if ((found = value(argument, "program")))
            descriptor = found;
        else if (strcmp(argument, "no-new-privileges") == 0)
            forbids = 1;
        else
            misuse(argument);
    }
    if (index + 1 >= count) misuse("PATH");
    char **program = arguments + index + 1;

    // While it is still who the folder belongs to.
    if (cgroup) enter(cgroup);
    // While it may still raise a hard limit.
    if (files) limit_files(files);
    if (data) limit(RLIMIT_DATA, data, "data");
    if (processes) limit(RLIMIT_NPROC, processes, "processes");
    if (user) become(user, groups);
    if (forbids && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(STEP_FAILED, "no-new-privileges", "");
    if (descriptor)
        execute(descriptor, program, environment);
    else
        execve(program[0], program, environment);
    fail(EXEC_FAILED, "start ", program[0]);
}
