"""What a child may use and do: each setting by itself, as seen from inside the child and from the kernel."""

import os
import shutil
import signal
import stat
import sys

import pytest

from support import COPPICE, cgroup, hide_clone3, processes
from support.waiting import until

root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's processes are root's to start")

# A user that nobody else on the machine has: RLIMIT_NPROC counts all that it runs.
USER = 61234

TASKS = """
import resource

def daemon(args, kwargs):
    # Out of the process group, the session and the line of descent: only a cgroup still knows where it came from.
    told, telling = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(telling, str(os.getpid()).encode())
            for number in range(5):
                os.close(number)
            time.sleep(120)
        os._exit(0)
    os.wait()
    return int(os.read(told, 20))

def status(args, kwargs):
    with open("/proc/self/status") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}

def regain(args, kwargs):
    found = []
    for way in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.chown("/", 0, 0)):
        try:
            way()
            found.append("done")
        except PermissionError:
            found.append("refused")
    return found

def temporary(args, kwargs):
    path = os.environ["TMPDIR"]
    found = os.stat(path)
    with open(path + "/file", "w") as file:
        file.write("x")
    os.makedirs(path + "/deep/er")
    os.symlink(args[0], path + "/deep/link")
    return [path, found.st_mode & 0o7777, found.st_uid, os.listdir(path)]

def processes(args, kwargs):
    made = []
    try:
        while len(made) < args[0]:
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            made.append(pid)
    except BlockingIOError:
        pass
    for pid in made:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return len(made)

def lock(args, kwargs):
    for mode in (0o555, 0):
        path = os.environ["TMPDIR"] + f"/{mode:o}"
        os.makedirs(path + "/deeper")
        with open(path + "/deeper/file", "w"):
            pass
        os.chmod(path + "/deeper", mode)
        os.chmod(path, mode)
    return os.environ["TMPDIR"]

def complain(args, kwargs):
    for path in ("/dev/stdout", "/dev/stderr"):
        with open(path, "w") as file:
            file.write(f"said to {path}\\n")

TASKS["daemon"] = daemon
TASKS["lock"] = lock
TASKS["complain"] = complain
TASKS["status"] = status
TASKS["regain"] = regain
TASKS["temporary"] = temporary
TASKS["processes"] = processes
TASKS["variables"] = lambda args, kwargs: dict(os.environ)
TASKS["pid"] = lambda args, kwargs: os.getpid()
TASKS["sleep"] = lambda args, kwargs: time.sleep(args[0])
"""


@pytest.fixture
def confined(redis_worker, python_worker):
    """A worker of one child with the tasks above: confined("--child-user", "nobody").ready()"""
    path = python_worker(TASKS)

    def make(*flags, concurrency=1, **options):
        return redis_worker(*flags, app=path, concurrency=concurrency, **options)

    return make


@pytest.fixture
def group():
    if not cgroup.usable():
        pytest.skip("no cgroup of version 2 that we may divide")
    made = cgroup.Group()
    yield made
    made.close()


# MARK: no leftovers


def test_a_daemon_goes_with_its_child(confined, app, group):
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    daemon = app.send_task("daemon").get(timeout=10)
    assert processes.alive(daemon) and group.of(daemon).startswith("/slot-1.")
    os.kill(worker.children[0], signal.SIGKILL)
    until(lambda: not processes.alive(daemon), what="the daemon's end")
    assert app.send_task("pid").get(timeout=10) in worker.children


def test_without_a_cgroup_it_would_not(confined, app, group):
    """The test of the test."""
    worker = confined("--child-cgroup", "off", prefix=group.prefix).ready()
    daemon = app.send_task("daemon").get(timeout=10)
    os.kill(worker.children[0], signal.SIGKILL)
    worker.log.wait("is ready", after=1)
    assert processes.alive(daemon) and group.of(daemon) == ""


def test_a_warm_shutdown_leaves_nothing(confined, app, group):
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    daemon = app.send_task("daemon").get(timeout=10)
    assert worker.stop() == 0
    assert not processes.alive(daemon)
    assert group.names == ["supervisor"]


def test_what_a_killed_master_leaves_goes_at_the_next_start(confined, app, group):
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    daemon = app.send_task("daemon").get(timeout=10)
    worker.kill()
    assert processes.alive(daemon)
    left = group.names
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    until(lambda: not processes.alive(daemon), what="the daemon's end")
    until(lambda: not set(left) & set(group.names) - {"supervisor"}, what=lambda: f"the end of {group.names}")
    assert worker.running


def test_two_masters_in_one_cgroup_leave_each_other_alone(confined, app, group):
    first = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    daemon = app.send_task("daemon").get(timeout=10)
    second = confined("--child-cgroup", "on", "-Q", "other", prefix=group.prefix, node="second@local").ready()
    assert processes.alive(daemon)
    assert second.stop() == 0
    assert processes.alive(daemon) and first.running
    assert app.send_task("pid").get(timeout=10) in first.children


def test_a_delegated_cgroup_is_used_unasked(confined, app, group):
    group.delegate()
    worker = confined(prefix=group.prefix).ready()
    assert group.of(worker.pid) == "/supervisor"
    assert group.of(worker.children[0]).startswith(f"/slot-1.{worker.pid}.")


def test_one_that_was_not_delegated_is_left_as_it_is(confined, group):
    worker = confined(prefix=group.prefix).ready()
    assert group.of(worker.pid) == group.of(worker.children[0]) == ""
    assert group.names == []


def test_a_corpse_keeps_no_daemon(confined, app, group, results):
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    daemon = app.send_task("daemon").get(timeout=10)
    sent = app.send_task("sleep", (60,), time_limit=0.5)
    child = results.wait(sent.id, "STARTED")["result"]["pid"]
    with processes.held_at_exit(child):
        until(lambda: not processes.alive(daemon), what="the daemon's end")
        assert processes.state(child) == "t"
        worker.log.wait("a corpse; its slot goes on without it")
    worker.log.wait("a corpse, is gone")
    until(lambda: len(group.names) == 2, what=lambda: f"one group besides supervisor: {group.names}")


def test_replaced_children_leave_no_cgroups(confined, app, group):
    worker = confined("--child-cgroup", "on", "--max-tasks-per-child", 1, prefix=group.prefix).ready()
    for _ in range(5):
        app.send_task("pid").get(timeout=10)
    until(lambda: len(group.names) == 2, what=lambda: f"one group besides supervisor: {group.names}")
    assert worker.running


def test_cgroups_that_a_child_has_made_in_its_own_go_with_it(confined, app, group):
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    child = worker.children[0]
    daemon = app.send_task("daemon").get(timeout=10)
    own = group.path / group.of(child).lstrip("/")
    for name in ("first/deeper", "second"):
        (own / name).mkdir(parents=True)
    (own / "first/deeper/cgroup.procs").write_text(str(daemon))
    os.kill(child, signal.SIGKILL)
    until(lambda: not own.exists(), what=f"the end of {own}")
    assert not processes.alive(daemon) and worker.running


def test_a_masters_process_id_may_be_anothers_by_now(confined, group):
    """What is left of a master is told from what a living one has, by when it was started."""
    for started in (processes.start_time(os.getpid()), 1):
        (group.path / f"slot-7.{os.getpid()}.{started}.1").mkdir()
    confined("--child-cgroup", "on", prefix=group.prefix).ready()
    left = f"slot-7.{os.getpid()}.{processes.start_time(os.getpid())}.1"
    until(lambda: [name for name in group.names if name.startswith("slot-7.")] == [left], what=lambda: f"{left} alone: {group.names}")


# A master that takes its time to open a file would be too late to move the child.
SLOWLY = ("strace", "-D", "-o", "/dev/null", "-e", "trace=openat", "-e", "inject=openat:delay_enter=5000")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace makes a system call late")
@pytest.mark.parametrize("prefix", [(), (sys.executable, hide_clone3.__file__, *SLOWLY)], ids=["clone3", "no-clone3"])
def test_a_child_is_in_its_cgroup_from_its_first_instruction(redis_worker, python_worker, group, folder, prefix):
    path, seen = folder / "first", folder / "first-seen"
    path.write_text(f"#!/bin/sh\nwhile read -r line; do echo $line; done </proc/self/cgroup >{seen}\nexec {python_worker(TASKS)}\n")
    path.chmod(0o755)
    worker = redis_worker("--child-cgroup", "on", app=path, concurrency=1, prefix=(*group.prefix, *prefix)).ready()
    own = group.of(worker.children[0])
    assert own.startswith("/slot-1.")
    assert [line for line in seen.read_text().splitlines() if line.startswith("0::")][0].endswith(own)
    assert sorted(processes.descriptors(worker.children[0])) == [0, 1, 2, 3, 4]


def test_a_cgroup_that_can_not_be_made_is_tried_again_and_then_fails_the_start(confined, group):
    (group.path / "cgroup.max.descendants").write_text("1")
    worker = confined("--child-cgroup", "on", prefix=group.prefix).start()
    worker.log.wait(f"can't start a child: make the cgroup {group.path}/slot-1.")
    assert worker.wait(timeout=30) == 1
    assert "8 attempts failed; giving up" in worker.log.text


def test_one_that_can_not_be_made_later_is_tried_again(confined, app, group):
    worker = confined("--child-cgroup", "on", prefix=group.prefix).ready()
    (group.path / "cgroup.max.descendants").write_text("1")
    os.kill(worker.children[0], signal.SIGKILL)
    worker.log.wait("can't start a child: make the cgroup")
    (group.path / "cgroup.max.descendants").write_text("max")
    assert app.send_task("pid").get(timeout=10) in worker.children


# MARK: another user


@root
def test_another_user_without_a_way_back(confined, app):
    confined("--child-user", f"{USER}:{USER}").ready()
    status = app.send_task("status").get(timeout=10)
    assert status["Uid"].split() == [str(USER)] * 4
    assert status["Gid"].split() == [str(USER)] * 4
    assert status["Groups"].split() == [str(USER)]
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert app.send_task("regain").get(timeout=10) == ["refused"] * 4


@root
def test_a_named_user_has_its_own_home(confined, app):
    confined("--child-user", "nobody").ready()
    assert app.send_task("variables").get(timeout=10)["HOME"] == "/nonexistent"
    assert app.send_task("status").get(timeout=10)["Uid"].split()[0] == "65534"


@root
def test_another_users_child_ends_with_its_master(confined):
    worker = confined("--child-user", "nobody").ready()
    (child,) = worker.kill()
    until(lambda: not processes.alive(child), what="the child's end")


@root
def test_another_users_child_can_be_killed(confined, app, results):
    confined("--child-user", "nobody", "--time-limit", 1).ready()
    sent = app.send_task("sleep", (30,))
    assert results.wait(sent.id, "FAILURE")["result"]["exc_type"] == "TimeLimitExceeded"


@root
def test_another_users_child_has_its_own_limit_of_files_whatever_its_master_may(confined):
    prefix = ("/bin/sh", "-c", 'ulimit -S -n 600; exec setpriv --inh-caps=-sys_resource --bounding-set=-sys_resource "$@"', "sh")
    worker = confined("--child-user", "nobody", "--suspect-memory", "1G", prefix=prefix).ready()
    assert processes.limits(worker.children[0])[0] == 600
    worker.log.wait("--suspect-memory: .* takes CAP_SYS_RESOURCE: nothing is limited")


@root
def test_another_users_child_may_open_its_outputs_by_name(confined, app):
    worker = confined("--child-user", "nobody").ready()
    app.send_task("complain").get(timeout=10)
    for path in ("/dev/stdout", "/dev/stderr"):
        worker.log.wait(f"said to {path}")


def test_without_the_right_to_it_the_start_fails(confined):
    if os.geteuid() != 0:
        prefix = ()
    else:
        prefix = ("setpriv", "--inh-caps=-setuid", "--bounding-set=-setuid")
    worker = confined("--child-user", "65534:65534", prefix=prefix).start()
    assert worker.wait() == 2
    assert "CAP_SETUID" in worker.log.text


@pytest.mark.parametrize("name, complaint", [("no-such-user", "no such user: no-such-user"), ("65534:no-such", "no such group: no-such")])
def test_a_user_that_is_not_there_is_said(confined, name, complaint):
    worker = confined("--child-user", name).start()
    assert worker.wait() == 2
    assert f"--child-user: {complaint}" in worker.log.text


# MARK: privileges and limits


def test_no_new_privileges(confined, app):
    confined("--child-no-new-privs").ready()
    assert app.send_task("status").get(timeout=10)["NoNewPrivs"] == "1"


def test_nothing_is_set_that_was_not_asked_for(confined, app):
    worker = confined().ready()
    status = app.send_task("status").get(timeout=10)
    assert status["NoNewPrivs"] == "0"
    assert status["Uid"].split()[0] == str(os.getuid())
    assert processes.command_line(worker.children[0]).count("coppice-exec") == 0
    assert "TMPDIR" not in app.send_task("variables").get(timeout=10)


def test_a_child_over_its_memory_limit_dies_alone(redis_worker, app):
    """Without a memory controller; Tests/systemd has the other case."""
    worker = redis_worker("--child-memory", "200M", "--child-cgroup", "off").all_ready()
    before = set(worker.children)
    sent = app.send_task("drill.eat", (400, 10))
    error = sent.get(timeout=10, propagate=False)
    assert type(error).__name__ == "WorkerLostError" and "it was refused more memory" in str(error)
    worker.log.wait("failed to allocate [0-9]+ bytes of memory")
    worker.log.wait("is ready", after=2)
    assert len(set(worker.children) & before) == 1 and worker.running
    assert app.send_task("drill.eat", (100, 0)).get(timeout=10) == 100


@root
def test_processes_are_limited_for_a_user_of_its_own(confined, app):
    worker = confined("--child-pids", 20, "--child-cgroup", "off", "--child-user", f"{USER}:{USER}").ready()
    # Twenty, for the child and its successor.
    assert app.send_task("processes", (100,)).get(timeout=20) == 39
    assert worker.running


def test_what_can_not_be_limited_is_said(confined, app):
    worker = confined("--child-cpu", 50, "--child-pids", 20, "--child-cgroup", "off").ready()
    worker.log.wait("--child-cpu: there is no cpu controller here: nothing is limited")
    worker.log.wait("--child-pids: .* children have no user of their own: nothing is limited")
    assert app.send_task("pid").get(timeout=10) in worker.children


@pytest.mark.parametrize("flags, above", [((), 500), (("--child-oom-score-adj", 700), 700), (("--child-oom-score-adj", 0), 0)])
def test_the_kernel_takes_a_child_before_the_master(confined, flags, above):
    def score(pid):
        with open(f"/proc/{pid}/oom_score_adj") as file:
            return int(file.read())

    worker = confined(*flags).ready()
    assert score(worker.children[0]) == min(1000, score(worker.pid) + above)


def test_the_settings_file_has_it_too(confined, app, folder):
    settings = folder / "coppice.yaml"
    settings.write_text("version: 1\nworker:\n  child-no-new-privs: yes\n  child-oom-score-adj: 0\n")
    confined("--config", settings).ready()
    assert app.send_task("status").get(timeout=10)["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    "flags, complaint",
    [(("--child-cgroup", "maybe"), "--child-cgroup: 'maybe' is none of auto, on, off"), (("--child-memory", "much"), "'much' is not a size"),
     (("--child-pids", 1), "from 8 to"), (("--max-memory-kills",), "--max-memory-per-child says how much")])  # fmt: skip
def test_a_wrong_value_is_said(confined, flags, complaint):
    worker = confined(*flags).start()
    assert worker.wait() == 2
    assert complaint in worker.log.text


# MARK: temporary files


@pytest.fixture
def temporary(folder):
    path = folder / "temporary"
    path.mkdir()
    path.chmod(0o1777)
    return path


def test_every_child_has_a_folder_of_its_own(confined, app, temporary, folder):
    precious = folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    worker = confined("--child-private-tmp", environment={"TMPDIR": str(temporary)}).ready()
    path, mode, owner, before = app.send_task("temporary", (str(precious),)).get(timeout=10)
    assert path.startswith(f"{temporary}/coppice-children-")
    assert (mode, owner) == (0o700, os.getuid())
    os.kill(worker.children[0], signal.SIGKILL)
    until(lambda: not os.path.exists(path), what="the folder's end")
    second = app.send_task("temporary", (str(precious),)).get(timeout=10)
    assert second[0] != path
    assert worker.stop() == 0
    assert os.listdir(temporary) == []
    assert (precious / "file").exists()


def test_what_may_not_be_written_to_goes_too(confined, app, temporary):
    # Root without what lets it write everywhere is as any other user.
    without = "-dac_override,-dac_read_search,-fowner"
    prefix = ("setpriv", f"--inh-caps={without}", f"--bounding-set={without}") if os.geteuid() == 0 else ()
    worker = confined("--child-private-tmp", environment={"TMPDIR": str(temporary)}, prefix=prefix).ready()
    path = app.send_task("lock").get(timeout=10)
    os.kill(worker.children[0], signal.SIGKILL)
    until(lambda: not os.path.exists(path), what="the folder's end")
    app.send_task("lock").get(timeout=10)
    assert worker.stop() == 0
    assert os.listdir(temporary) == []
    assert not worker.log.find("could not be removed")


@root
def test_it_belongs_to_the_childs_user(confined, app, temporary):
    confined("--child-private-tmp", "--child-user", "nobody", environment={"TMPDIR": str(temporary)}).ready()
    path, mode, owner, _ = app.send_task("temporary", ("/",)).get(timeout=10)
    assert (mode, owner) == (0o700, 65534)
    above = os.stat(os.path.dirname(path))
    assert (stat.S_IMODE(above.st_mode), above.st_uid) == (0o711, os.getuid())


def test_what_a_killed_master_leaves_there_goes_at_the_next_start(confined, app, temporary, folder):
    flags, environment = ("--child-private-tmp",), {"TMPDIR": str(temporary)}
    worker = confined(*flags, environment=environment).ready()
    path = app.send_task("temporary", ("/",)).get(timeout=10)[0]
    worker.kill()
    assert os.path.exists(path)
    # Not a folder, though it is called like one.
    (temporary / "coppice-children-AAAAAA").symlink_to(folder)
    living = confined(*flags, "-Q", "other", environment=environment, node="living@local").ready()
    until(lambda: not os.path.exists(os.path.dirname(path)), what="the end of what was left")
    living_folder = [name for name in os.listdir(temporary) if name != "coppice-children-AAAAAA"]
    confined(*flags, environment=environment).ready()
    assert set(living_folder) <= set(os.listdir(temporary)) and len(living_folder) == 1
    assert (temporary / "coppice-children-AAAAAA").is_symlink() and folder.exists()
    assert living.running


def test_a_start_that_fails_leaves_nothing_there(redis_worker, temporary, folder):
    path = folder / "text"
    path.write_text("no program\n")
    path.chmod(0o755)
    worker = redis_worker("--child-private-tmp", app=path, environment={"TMPDIR": str(temporary)}).start()
    assert worker.wait() == 2
    assert "Exec format error" in worker.log.text
    assert os.listdir(temporary) == []


def test_a_place_that_is_not_there_fails_the_start(confined, folder):
    worker = confined("--child-private-tmp", environment={"TMPDIR": str(folder / "nowhere")}).start()
    assert worker.wait() == 2
    assert "make a folder in" in worker.log.text


# MARK: the trampoline


def test_a_worker_of_the_wrong_format_is_said(redis_worker, folder):
    path = folder / "text"
    path.write_text("no program\n")
    path.chmod(0o755)
    worker = redis_worker("--child-no-new-privs", app=path).start()
    worker.log.wait(f"coppice-exec: start {path}: Exec format error")
    worker.log.wait("ended before it was ready: exitcode 127")
    assert worker.wait() == 2
    assert f"{path} can't be executed: coppice-exec: start {path}: Exec format error" in worker.log.text


def test_it_lies_beside_the_command_or_in_libexec(confined, folder, app):
    installed = folder / "bin" / "coppice"
    installed.parent.mkdir()
    shutil.copy(COPPICE, installed)
    worker = confined("--child-no-new-privs")
    worker.command[worker.command.index(str(COPPICE))] = str(installed)
    worker.start()
    assert worker.wait() == 2
    assert f"find coppice-exec in {installed.parent}" in worker.log.text
    libexec = folder / "libexec" / "coppice"
    libexec.mkdir(parents=True)
    shutil.copy(COPPICE.parent / "coppice-exec", libexec)
    worker = confined("--child-no-new-privs")
    worker.command[worker.command.index(str(COPPICE))] = str(installed)
    worker.ready()
    assert app.send_task("status").get(timeout=10)["NoNewPrivs"] == "1"


@root
def test_a_worker_that_its_user_may_not_execute_is_said(confined):
    worker = confined("--child-user", "nobody")
    path = worker.command[worker.command.index("-A") + 1]
    os.chmod(path, 0o700)
    worker.start()
    worker.log.wait(f"coppice-exec: start {path}: Permission denied")
