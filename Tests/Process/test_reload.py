"""A reload: the settings are read again, the children replaced one by one, and no task notices. What does not start changes nothing."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time

import pytest

from support import COPPICE, DRILL, processes
from support.envelope import envelope, record, send
from support.waiting import until

RELOADING = "RELOADING=1"


def install(source, path):
    """As a package manager does it: a new file in the old one's place."""
    fresh = path.with_name(path.name + ".new")
    shutil.copy(source, fresh)
    os.replace(fresh, path)


def broken(path, text="#!/bin/sh\nexit 3\n"):
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    os.replace(fresh, path)


class Reloaded:
    """A worker with a pidfile, whose binary and settings may be changed."""

    def __init__(self, folder, redis_worker, *flags, settings=None, **options):
        self.folder = folder
        self.binary = folder / "worker-binary"
        install(DRILL, self.binary)
        self.pidfile = folder / "worker.pid"
        self.settings = folder / "settings.yaml"
        if settings is not None:
            self.write(settings)
            flags += ("--config", self.settings)
        self.worker = redis_worker("--pidfile", self.pidfile, *flags, app=options.pop("app", self.binary), **options)

    def write(self, text):
        self.settings.write_text("version: 1\n" + text)

    @property
    def report(self):
        return json.loads((self.folder / "worker.pid.reload").read_text())

    def reload(self, *flags, timeout=30):
        command = [str(COPPICE), "reload", "--pidfile", str(self.pidfile), *map(str, flags)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout)

    def start_reload(self):
        """The command, left running."""
        return subprocess.Popen(
            [str(COPPICE), "reload", "--pidfile", str(self.pidfile)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


@pytest.fixture
def reloaded(folder, redis_worker):
    return lambda *flags, **options: Reloaded(folder, redis_worker, *flags, **options)


def generation(worker):
    """What each child executes: the file's device and inode."""
    return {pid: os.stat(f"/proc/{pid}/exe").st_ino for pid in worker.children}


def test_all_children_are_replaced_by_the_new_binary_and_it_is_said(reloaded):
    it = reloaded(concurrency=3)
    worker = it.worker.all_ready(3)
    before = worker.children
    install(DRILL, it.binary)
    done = it.reload()
    assert (done.returncode, done.stdout, done.stderr) == (0, "reloaded\n", "")
    until(lambda: not set(before) & set(worker.children), what="the old ones' end")
    assert set(generation(worker).values()) == {os.stat(it.binary).st_ino} and len(worker.children) == 3
    report = it.report
    assert report.pop("started") > 0 and report == {"version": 1, "pid": worker.pid, "begun": 1, "ended": 1}
    assert "all 3 children are new" in worker.log.text
    # Whoever is told of a reload is told of its end, behind it.
    assert worker.notify.messages(RELOADING) == [RELOADING]
    (stamp,) = worker.notify.messages("MONOTONIC_USEC=")
    assert abs(int(stamp.split("=")[1]) / 1e6 - worker.notify.times(RELOADING)[0]) < 1
    assert worker.notify.wait("READY=1", after=1)
    assert worker.notify.times("READY=1")[1] > worker.notify.times(RELOADING)[0]
    assert worker.stop() == 0
    assert not (it.folder / "worker.pid.reload").exists()


def test_a_task_in_work_is_finished_by_the_child_that_began_it(reloaded, app, results):
    it = reloaded(concurrency=1)
    worker = it.worker.ready()
    sent = app.send_task("drill.sleep", (1.5,))
    old = results.wait(sent.id, "STARTED")["result"]["pid"]
    assert it.reload().returncode == 0
    # The reload is over, the old child is not, and the new one works beside it.
    assert processes.alive(old)
    new = app.send_task("drill.getpid").get(timeout=10)
    assert new != old and processes.alive(old)
    assert sent.get(timeout=10) == 1.5
    assert results.statuses(sent.id)[-1:] != ["FAILURE"]
    until(lambda: worker.children == [new], what="the old child's end")


def test_a_binary_that_does_not_start_changes_nothing(reloaded, app):
    it = reloaded(concurrency=2)
    worker = it.worker.all_ready()
    before = generation(worker)
    broken(it.binary)
    done = it.reload()
    assert done.returncode == 1
    assert "did not become ready" in done.stderr and "nothing has changed" in done.stderr
    assert generation(worker) == before
    assert it.report["ended"] == 1 and "did not become ready" in it.report["failure"]
    assert worker.notify.wait("READY=1", after=1)
    assert until(lambda: [line for line in worker.notify.messages("STATUS=") if "the last reload failed" in line], what="STATUS")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    # The next one is on its own, and what failed is forgotten.
    install(DRILL, it.binary)
    assert it.reload().returncode == 0
    until(lambda: not set(before) & set(worker.children), what="the old ones' end")
    assert until(lambda: "failed" not in worker.notify.messages("STATUS=")[-1], what="STATUS")


def test_after_a_failed_reload_a_dead_child_is_replaced_by_what_worked(reloaded, app):
    it = reloaded(concurrency=1)
    worker = it.worker.ready()
    (child,) = worker.children
    inode = os.stat(it.binary).st_ino
    broken(it.binary)
    assert it.reload().returncode == 1
    for _ in range(3):
        os.kill(worker.children[0], signal.SIGKILL)
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    (other,) = generation(worker).items()
    assert other[0] != child and other[1] == inode
    # It was given nothing that a child has not.
    assert sorted(int(fd) for fd in os.listdir(f"/proc/{other[0]}/fd"))[:5] == [0, 1, 2, 3, 4]
    assert not [fd for fd in os.listdir(f"/proc/{other[0]}/fd") if os.readlink(f"/proc/{other[0]}/fd/{fd}").startswith(str(it.binary))]


def test_a_binary_that_is_replaced_without_a_reload_is_not_mixed_in(reloaded, app):
    it = reloaded(concurrency=1)
    worker = it.worker.ready()
    inode = os.stat(it.binary).st_ino
    broken(it.binary)
    os.kill(worker.children[0], signal.SIGKILL)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert set(generation(worker).values()) == {inode}


def test_a_worker_that_is_a_script_goes_on_after_a_failed_reload(folder, redis_worker, python_worker, app):
    script = python_worker('TASKS["which"] = lambda args, kwargs: "good"')
    it = Reloaded(folder, redis_worker, app=script, concurrency=1)
    worker = it.worker.ready()
    broken(script)
    assert it.reload().returncode == 1
    os.kill(worker.children[0], signal.SIGKILL)
    assert app.send_task("which").get(timeout=10) == "good"


def test_a_task_that_only_the_new_worker_has_waits_while_that_starts(folder, redis_worker, python_worker, app):
    script = python_worker('TASKS["old"] = lambda args, kwargs: "old"')
    it = Reloaded(folder, redis_worker, app=script, concurrency=1)
    worker = it.worker.ready()
    gate = folder / "gate"
    os.mkfifo(gate)
    # It is not ready before somebody opens the gate.
    install(python_worker(f'TASKS["fresh"] = lambda args, kwargs: "fresh"\nopen("{gate}").close()'), script)
    reloading = it.start_reload()
    until(lambda: len(worker.children) == 2, what="the new child")
    fresh = app.send_task("fresh")
    worker.log.wait(re.escape(f"fresh[{fresh.id}] received"))
    # The old one goes on meanwhile.
    assert app.send_task("old").get(timeout=10) == "old"
    gate.write_text("")
    assert fresh.get(timeout=10) == "fresh"
    assert reloading.wait(10) == 0, worker.log.text


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root: it hides the user database from the master")
def test_a_reload_asks_no_user_database(folder, redis_worker, app):
    users, nobody_answers = folder / "passwd", folder / "fifo"
    shutil.copy("/etc/passwd", users)
    os.mkfifo(nobody_answers)
    own = ("unshare", "-m", "sh", "-c", f'mount --bind {users} /etc/passwd && exec "$@"', "sh")
    it = Reloaded(folder, redis_worker, "--child-user", "nobody", prefix=own, concurrency=1)
    worker = it.worker.ready()
    # Whoever looks a user up from here on waits for ever, as for a server that is away.
    subprocess.run(["nsenter", "-t", str(worker.pid), "-m", "mount", "--bind", nobody_answers, "/etc/passwd"], check=True)
    done = it.reload("--timeout", 8)
    assert (done.returncode, done.stderr) == (0, "")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_binary_that_works_only_once_is_replaced_back(reloaded, app, folder):
    it = reloaded(concurrency=3)
    worker = it.worker.all_ready(3)
    inode = os.stat(it.binary).st_ino
    good = folder / "good"
    install(DRILL, good)
    # The first start takes the token along; all others fail.
    (folder / "token").touch()
    broken(it.binary, f"#!/bin/sh\nrm {folder}/token && exec {good}\nexit 3\n")
    done = it.reload()
    assert done.returncode == 1 and "replaced back" in done.stderr
    until(lambda: set(generation(worker).values()) == {inode} and len(worker.children) == 3, what=lambda: worker.log.text)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


@pytest.mark.parametrize("count", [1, 3])
def test_a_binary_that_dies_when_it_has_become_ready_is_replaced_back(reloaded, python_worker, app, count):
    it = reloaded(concurrency=count)
    worker = it.worker.all_ready(count)
    inode = os.stat(it.binary).st_ino
    broken(it.binary, python_worker("", serve="receive()\nready()\ntime.sleep(0.3)\nsys.exit(3)").read_text())
    done = it.reload()
    assert done.returncode == 1 and "ended as soon as it was ready: exitcode 3" in done.stderr and "replaced back" in done.stderr
    until(lambda: list(generation(worker).values()) == [inode] * count, what=lambda: worker.log.text)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_settings_that_are_wrong_change_nothing(reloaded, app):
    it = reloaded(settings="worker:\n  time-limit: 60\n")
    worker = it.worker.all_ready()
    before = worker.children
    for wrong in ["worker: {time-limit: soon}\n", "worker: {no-such: 1}\n", "{", "worker: {app: /nonexistent}\n"]:
        # What is given as a flag comes before the file, so the last one is no mistake here.
        it.write(wrong)
        done = it.reload()
        if "nonexistent" in wrong:
            assert done.returncode == 0
        else:
            assert done.returncode == 1 and str(it.settings) in done.stderr, done
            assert worker.children == before
    assert worker.notify.wait("READY=1", after=4) and len(worker.notify.messages(RELOADING)) == 4


def test_settings_are_read_again_and_what_needs_a_restart_is_named(reloaded, app, redis_server):
    it = reloaded(settings="worker:\n  concurrency: 2\n  queues: celery\n", concurrency=None)
    worker = it.worker.all_ready()
    it.write("worker:\n  concurrency: 4\n  time-limit: 0.5\n  queues: other\n  prefetch-multiplier: 2\n")
    assert it.reload().returncode == 0
    until(lambda: len(worker.children) == 4, what="four children")
    worker.log.wait("queues, prefetch-multiplier changed, which takes a restart")
    # Still served, and under the new limit.
    failed = app.send_task("drill.spin", (20,))
    with pytest.raises(Exception, match="0.5"):
        failed.get(timeout=10)
    it.write("worker:\n  concurrency: 1\n  queues: celery\n")
    assert it.reload().returncode == 0
    until(lambda: len(worker.children) == 1, what="one child")


def test_a_reload_during_a_reload_follows_it(reloaded):
    it = reloaded(concurrency=2)
    worker = it.worker.all_ready()
    commands = [it.start_reload() for _ in range(3)]
    assert [command.wait(20) for command in commands] == [0, 0, 0], [command.stderr.read() for command in commands]
    for command in commands:
        command.communicate()
    # One that came late may have begun another.
    report = until(lambda: it.report["begun"] == it.report["ended"] and it.report, what="the end of the last")
    assert 1 <= report["ended"] <= 3
    assert worker.notify.wait("READY=1", after=report["ended"])


def test_a_stop_ends_a_reload(reloaded, folder):
    it = reloaded(concurrency=1)
    worker = it.worker.ready()
    broken(it.binary, "#!/bin/sh\nexec sleep 600\n")
    command = it.start_reload()
    assert worker.notify.wait(RELOADING)
    assert worker.stop() == 0
    out, error = command.communicate(timeout=10)
    assert command.returncode == 1 and ("the node stops" in error or "the worker has ended" in error)


def test_a_crash_loop_is_ended_by_a_reload(reloaded, app, folder):
    """The node was up; then its binary's own folder of models went away, say, and no child starts any more."""
    it = reloaded(concurrency=2)
    script = folder / "script"
    broken(script, f"#!/bin/sh\n[ -e {folder}/broken ] && exit 3\nexec {it.binary}\n")
    it.worker.command[it.worker.command.index(str(it.binary))] = str(script)
    worker = it.worker.all_ready()
    (folder / "broken").touch()
    for child in worker.children:
        os.kill(child, signal.SIGKILL)
    until(lambda: len(worker.log.find("ended before it was ready")) > 2, what="the crash loop")
    broken(script, f"#!/bin/sh\nexec {it.binary}\n")
    assert it.reload().returncode == 0
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_the_command_says_whom_it_does_not_find(command, folder, reloaded):
    assert command.run("reload").returncode == 2
    assert command.run("reload", "--pid", 1).returncode == 2
    assert command.run("reload", "--pidfile", folder / "none").returncode == 2
    it = reloaded(concurrency=1)
    worker = it.worker.ready()
    # A report that another process has left, whoever has its number now.
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        report = folder / "other.reload"
        assert command.run("reload", "--pidfile", it.pidfile, "--pid", sleeper.pid).returncode == 2
        report.write_text(json.dumps({"version": 1, "pid": sleeper.pid, "started": 1, "begun": 0, "ended": 0}))
        assert command.run("reload", "--pidfile", folder / "other").returncode == 2
        assert sleeper.poll() is None, "a stranger was sent HUP"
    finally:
        sleeper.kill()
    worker.kill()
    done = it.reload()
    assert done.returncode == 2 and "no worker that runs" in done.stderr


def test_a_unit_needs_no_pidfile(redis_worker, folder, command):
    worker = redis_worker(environment={"RUNTIME_DIRECTORY": str(folder)}, concurrency=1).ready()
    before = worker.children
    done = command.run("reload", "--pid", worker.pid, RUNTIME_DIRECTORY=str(folder))
    assert (done.returncode, done.stdout) == (0, "reloaded\n")
    until(lambda: worker.children and not set(before) & set(worker.children), what="the new child")


def test_a_unit_may_have_a_pidfile_all_the_same(redis_worker, folder, command):
    runtime = folder / "run"
    runtime.mkdir()
    settings = folder / "settings.yaml"
    settings.write_text(f"worker: {{pidfile: {folder}/worker.pid}}\n")
    worker = redis_worker("--config", settings, environment={"RUNTIME_DIRECTORY": str(runtime)}, concurrency=1).ready()
    # As the unit's ExecReload asks, and as somebody does who knows the pidfile only.
    for flags, environment in [(("--pid", worker.pid), {"RUNTIME_DIRECTORY": str(runtime)}), (("--pidfile", folder / "worker.pid"), {})]:
        done = command.run("reload", *flags, **environment)
        assert (done.returncode, done.stdout) == (0, "reloaded\n"), done.stderr
    settings.write_text(f"worker: {{pidfile: {folder}/other.pid}}\n")
    assert command.run("reload", "--pidfile", folder / "worker.pid").returncode == 0
    worker.log.wait("pidfile changed, which takes a restart")
    worker.stop()
    assert not list(runtime.iterdir()) and not list(folder.glob("*.pid*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user, and a mount")
def test_a_master_that_proc_hides_is_found(redis_worker, folder):
    """As under systemd's ProtectProc=invisible: a master forbids inspection, so its own user's commands do not see it in /proc."""
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    own = folder / "run"
    own.mkdir()
    os.chown(own, 65534, 65534)
    worker = redis_worker(prefix=user, environment={"RUNTIME_DIRECTORY": str(own)}, concurrency=1).ready()
    hiding = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", hiding, "-", *user, str(COPPICE), "reload", "--pid", str(worker.pid)]
    done = subprocess.run(command, env={"RUNTIME_DIRECTORY": str(own), "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "reloaded\n"), done.stderr


def test_a_folder_that_can_not_be_written_costs_the_report_alone(redis_worker):
    worker = redis_worker(environment={"RUNTIME_DIRECTORY": "/proc/none"}, concurrency=1).ready()
    worker.log.wait("How reloads go is not told")
    before = worker.children
    worker.signal(signal.SIGHUP)
    worker.log.wait("all 1 children are new")
    until(lambda: worker.children and not set(before) & set(worker.children), what="the new child")


def test_no_task_is_lost_or_run_twice_over_many_reloads(reloaded, app, ledger, redis):
    it = reloaded(*ledger.flags, environment=ledger.environment, concurrency=3)
    worker = it.worker.all_ready(3)
    ids = [app.send_task("drill.witness.late" if n % 2 else "drill.witness.early", (0.02, 0)).id for n in range(900)]
    reloads = 0
    while redis.llen("celery") > 30:
        install(DRILL, it.binary)
        assert it.reload().returncode == 0
        reloads += 1
    assert reloads >= 2
    states = lambda: {(record(redis, id) or {}).get("status") for id in ids}
    until(lambda: not states() & {None, "STARTED"}, what="all results", timeout=20)
    assert states() == {"SUCCESS"}
    runs = [run.id for run in ledger.runs()]
    assert sorted(runs) == sorted(ids)
    assert "ERROR" not in worker.log.text


def test_long_tasks_do_not_pile_up_over_reloads(reloaded, app, ledger, results):
    it = reloaded(*ledger.flags, environment=ledger.environment, concurrency=1)
    it.worker.ready()
    sent = []
    for _ in range(2):
        sent.append(app.send_task("drill.witness.early", (3, 0)))
        results.wait(sent[-1].id, "STARTED")
        assert it.reload().returncode == 0
    # The newest child waits until one of the two is done.
    sent.append(app.send_task("drill.witness.early", (0, 0)))
    for result in sent:
        result.get(timeout=20)
    first, second, third = ledger.runs()
    assert second.start < first.end and third.start >= first.end
    assert len({run.pid for run in (first, second, third)}) == 3


@pytest.mark.timeout(180)
def test_throughput_during_a_reload_is_that_of_before(reloaded, ledger, redis):
    """Within a tenth, by the median of five: what was done during the whole of a reload, and in as much time before it. Others that are
    at work on the machine spoil a series, so there may be three; where nearly all wait for a processor anyway nothing can be said.
    (`make bench-reload` has other tasks, too.)"""
    pressure = float(open("/proc/pressure/cpu").readline().split("avg10=")[1].split()[0])
    it = reloaded(*ledger.flags, "-l", "warning", environment=ledger.environment, concurrency=8)
    for _ in range(30_000):
        send(redis, envelope("drill.witness.early", (0.05, 0), headers={"ignore_result": True}))
    worker = it.worker.ready()
    until(lambda: len(worker.children) == 8, what="all children")

    def rate(runs, begin, end):
        """Tasks a second; of those that reach over an end of the time, the part inside."""
        return sum(max(0, min(end, stop) - max(begin, start)) / (stop - start) for start, stop in runs) / (end - begin)

    medians = []
    for _ in range(3):
        spans = []
        # The first shows how long they take, so that there is as much time before the next.
        for _ in range(6):
            time.sleep(1.5 * (spans[-1][1] - spans[-1][0]) if spans else 0.3)
            begun = time.monotonic()
            assert it.reload().returncode == 0
            spans.append((begun, time.monotonic()))
        del spans[0]
        # What runs at the end of the last has to end, too.
        time.sleep(0.3)
        assert redis.llen("celery") > 0, "the work did not last"
        runs = [(run.start / 1e9, run.end / 1e9) for run in ledger.runs() if run.end]
        ratios = [rate(runs, begin, end) / rate(runs, 2 * begin - end, begin) for begin, end in spans]
        print("tasks a second during a reload, of those before it:", [round(ratio, 2) for ratio in ratios])
        print("seconds of a reload:", [round(end - begin, 2) for begin, end in spans])
        medians.append(statistics.median(ratios))
        if medians[-1] > 0.9:
            return
    if pressure > 50:
        pytest.skip(f"a machine under {pressure} % CPU pressure from others: {medians}")
    raise AssertionError(f"the medians of three series: {medians}")
