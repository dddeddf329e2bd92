"""Starting: what can't work is said in one line, and what may still come is waited for."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import COPPICE, DRILL, EXAMPLE, processes
from support.waiting import until


def refuse(command, *arguments, mentions, code=None, **environment):
    """The worker must end at once with one line on standard error that says all of `mentions`."""
    done = command.run("worker", *arguments, timeout=10, **environment)
    lines = done.stderr.strip().splitlines()
    assert 0 < done.returncode < 128, (done.returncode, done.stdout, done.stderr)
    assert len(lines) == 1, done.stderr
    for text in mentions:
        assert text in lines[0], (text, lines[0])
    for trace in ("Fatal error", "Stack dump", "Backtrace", "Swift/"):
        assert trace not in done.stderr + done.stdout
    if code is not None:
        assert done.returncode == code
    return lines[0]


def test_a_worker_path_that_does_not_exist(command, tmp_path):
    refuse(command, "-A", tmp_path / "nowhere", mentions=[str(tmp_path / "nowhere")])


def test_a_worker_path_that_is_a_folder(command, tmp_path):
    refuse(command, "-A", tmp_path, mentions=[str(tmp_path)])


def test_a_worker_path_that_is_not_executable(command, tmp_path):
    path = tmp_path / "worker"
    path.write_bytes(DRILL.read_bytes())
    path.chmod(0o644)
    refuse(command, "-A", path, mentions=[str(path), "execut"])


def test_a_worker_of_a_wrong_format(command, tmp_path):
    path = tmp_path / "worker"
    path.write_bytes(b"\x7fELF but not really")
    path.chmod(0o755)
    refuse(command, "-A", path, mentions=[str(path)])


def test_a_worker_that_misses_swifts_libraries_is_told_how_it_is_built_for_such_a_host(command, tmp_path):
    """The same program, which does not look where they are."""
    path = tmp_path / "worker"
    place = b"/usr/lib/swift/linux"
    assert place in DRILL.read_bytes()
    path.write_bytes(DRILL.read_bytes().replace(place, b"/usr/lib/swift/nowhe"))
    path.chmod(0o755)
    done = command.run("worker", "-A", path)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "error while loading shared libraries: libswift" in line and "--static-swift-stdlib" in line, done.stderr


def test_no_worker_path(command):
    done = command.run("worker")
    assert 0 < done.returncode < 128
    assert "-A" in done.stderr


def test_an_unknown_option_is_named(command):
    done = command.run("worker", "-A", DRILL, "--no-such-option")
    assert 0 < done.returncode < 128
    assert "--no-such-option" in done.stderr


@pytest.mark.parametrize("flag, value", [("-c", "0"), ("--concurrency", "-1"), ("-c", "many"), ("--prefetch-multiplier", "x"), ("-l", "loudly")])
def test_a_flag_with_a_wrong_value_is_named(command, flag, value):
    done = command.run("worker", "-A", DRILL, f"{flag}={value}" if flag.startswith("--") else f"{flag}{value}", timeout=10)
    assert 0 < done.returncode < 128
    assert value in done.stderr or flag in done.stderr


def test_a_binary_that_never_says_ready_is_given_up_on_and_tried_again(redis_worker, folder):
    path = folder / "silent"
    path.write_text(f"#!/bin/sh\necho $$ >> {folder}/starts\nexec sleep 600\n")
    path.chmod(0o755)
    worker = redis_worker(app=path, concurrency=1).start()
    until(lambda: (folder / "starts").exists(), what="the first start")
    worker.log.wait(r"(?i)(not|never).*\bready\b", timeout=40)
    assert worker.notify.messages("READY") == []


def test_children_that_die_before_they_are_ready_are_started_ever_more_slowly(redis_worker, folder):
    path = folder / "mortal"
    path.write_text(f"#!/bin/sh\ndate +%s.%N >> {folder}/starts\nexit 1\n")
    path.chmod(0o755)
    worker = redis_worker(app=path, concurrency=1).start()
    starts = folder / "starts"
    until(lambda: starts.exists() and len(starts.read_text().splitlines()) >= 5 or not worker.running, timeout=30, what="five starts")
    times = [float(line) for line in starts.read_text().splitlines()]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert len(gaps) < 30, "a storm of starts"
    assert gaps[-1] > 2 * gaps[0], gaps
    assert worker.notify.messages("READY") == []
    assert worker.log.find(r"(?i)exit")


@pytest.mark.parametrize("last, how", [("", "exitcode 0"), ("os.write(4, b'?' * 64)\ntime.sleep(60)", "signal 9")], ids=["exit", "nonsense"])
def test_children_that_end_as_soon_as_they_are_ready_are_started_ever_more_slowly_and_then_no_more(
    redis_worker, python_worker, redis, app, last, how
):
    # The worker is broken, not the message: it stays.
    app.send_task("never")
    worker = redis_worker(app=python_worker('import os\nTASKS["never"] = None', serve=f"receive()\nready()\n{last}"), concurrency=1).start()
    assert worker.wait(timeout=40) == 1
    assert len(worker.log.find(f"ended as soon as it was ready: {how}")) == 8
    assert worker.log.find("does not become ready, or ends at once: 8 attempts failed; giving up")
    assert redis.llen("celery") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_a_shortage_at_the_start_is_waited_for(redis_worker, app):
    # A user of its own: the limit counts all processes of one.
    user = ("setpriv", "--reuid=54815", "--regid=54815", "--clear-groups")
    worker = redis_worker(prefix=("prlimit", "--nproc=1:", *user), concurrency=1).start()
    worker.log.wait("can't start a child: .*Resource temporarily unavailable; next attempt in 0.1 s")
    subprocess.run([*user, "prlimit", f"--pid={worker.pid}", "--nproc=4096:"], check=True)
    worker.ready()
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_task_that_kills_each_new_child_is_no_failed_start(redis_worker, python_worker, app):
    worker = redis_worker(app=python_worker('TASKS["die"] = lambda args, kwargs: os._exit(3)\nTASKS["one"] = lambda args, kwargs: 1'), concurrency=1)
    worker.ready()
    sent = [app.send_task("die") for _ in range(12)] + [app.send_task("one")]
    assert sent[-1].get(timeout=20) == 1
    assert len(worker.log.find("is lost")) == 12 and not worker.log.find("next attempt")


def test_a_message_that_kills_each_child_before_it_begins_is_set_aside(redis_worker, python_worker, app, command):
    serve = """
receive()
ready()
while True:
    kind, payload = receive()
    if kind == 2 and b"heavy" in payload:
        os._exit(9)
    if kind == 2:
        run(payload)
"""
    worker = redis_worker(app=python_worker('import os\nTASKS["heavy"] = None\nTASKS["one"] = lambda args, kwargs: 1', serve=serve)).ready()
    error = app.send_task("heavy").get(timeout=20, propagate=False)
    assert "3 children died before they had begun it" in str(error)
    assert app.send_task("one").get(timeout=10) == 1
    assert "3 children died before they had begun it" in command.run("dead").stdout
    assert worker.running


def test_a_node_that_can_start_no_child_any_more_gives_its_messages_back_and_ends(redis_worker, folder, app, redis, results):
    path = folder / "script"
    path.write_text(f"#!/bin/sh\n[ -e {folder}/broken ] && exit 3\nexec {DRILL}\n")
    path.chmod(0o755)
    worker = redis_worker(app=path, concurrency=1).ready()
    sent = [app.send_task("drill.sleep", (60,)) for _ in range(5)]
    child = results.wait(sent[0].id, "STARTED")["result"]["pid"]
    until(lambda: redis.llen("celery") < 4, what="some that are claimed behind it")
    (folder / "broken").touch()
    os.kill(child, signal.SIGKILL)
    assert worker.wait(timeout=40) == 1
    assert worker.log.find("8 attempts failed; giving up")
    assert redis.llen("celery") == 4


def test_children_are_set_up_and_torn_down(redis_worker, folder):
    notes = folder / "notes"
    worker = redis_worker("--child-env", "DRILL_NOTES", environment={"DRILL_NOTES": str(notes)}).all_ready()
    children = worker.children
    assert worker.stop() == 0
    assert sorted(notes.read_text().split("\n")) == sorted(["", *(f"{what} {pid}" for what in ("up", "down") for pid in children)])


def test_a_worker_that_can_not_be_set_up_is_a_failed_start_with_its_reason(redis_worker):
    worker = redis_worker("--child-env", "DRILL_START", environment={"DRILL_START": "fail"}, concurrency=1).start()
    worker.log.wait(r"setUp has failed: as the drill wants it$")
    worker.log.wait(r"ended before it was ready: exitcode 1.*next attempt in")
    assert worker.notify.messages("READY") == []


def test_a_worker_with_two_tasks_of_one_name_ends_the_node_at_once(redis_worker):
    worker = redis_worker("--child-env", "DRILL_START", environment={"DRILL_START": "twice"}).start()
    assert worker.wait(timeout=10) == 2
    worker.log.finish()
    assert re.search(r"is no worker that can run: coppice: two tasks are named drill\.add: at .*:\d+ and .*:\d+$", worker.log.lines[-1])


def test_a_child_of_another_protocol_version_is_reported_as_such(redis_worker, python_worker):
    worker = redis_worker(app=python_worker("", serve="receive()\nready(version=99)\ntime.sleep(60)")).start()
    worker.log.wait(r"(?i)(version|protocol)", timeout=10)
    assert worker.notify.messages("READY") == []


def test_a_broker_that_is_down_is_tried_again_and_said_so(workers, own_redis):
    server = own_redis()
    server.stop()
    worker = workers(environment={"COPPICE_BROKER_URL": server.url()}).start()
    found = worker.log.wait(rf"ERROR.*127\.0\.0\.1:{server.port}.*", timeout=10)
    assert re.search(r"(?i)(retry|again|trying)", found.group(0)), found.group(0)
    assert worker.running
    server.start()
    assert worker.notify.wait("READY=1", timeout=15)


def test_a_host_name_that_does_not_resolve_is_said_so(workers):
    worker = workers(environment={"COPPICE_BROKER_URL": "redis://no-such-host.invalid:6379/0"}).start()
    worker.log.wait(r"no-such-host\.invalid", timeout=15)
    assert worker.running
    assert worker.stop(timeout=5) == 0


def test_a_pidfile_holds_the_masters_pid_and_goes_with_it(redis_worker, folder):
    pidfile = folder / "pid"
    worker = redis_worker("--pidfile", pidfile).ready()
    assert pidfile.read_text().strip() == str(worker.pid)
    assert worker.stop() == 0
    assert not pidfile.exists()


def test_a_stale_pidfile_is_taken_over(redis_worker, folder):
    pidfile = folder / "pid"
    gone = subprocess.Popen(["true"])
    gone.wait()
    pidfile.write_text(f"{gone.pid}\n")
    worker = redis_worker("--pidfile", pidfile).ready()
    assert pidfile.read_text().strip() == str(worker.pid)


def test_a_pidfile_of_a_killed_worker_is_taken_over(redis_worker, folder):
    pidfile = folder / "pid"
    redis_worker("--pidfile", pidfile).ready().kill()
    assert pidfile.exists()
    worker = redis_worker("--pidfile", pidfile).ready()
    assert pidfile.read_text().strip() == str(worker.pid)


def test_a_pidfile_whose_number_is_another_process_by_now_is_taken_over(redis_worker, command, folder):
    pidfile, report = folder / "pid", folder / "pid.reload"
    redis_worker("--pidfile", pidfile).ready().kill()
    told = json.loads(report.read_text())
    other = subprocess.Popen(["sleep", "60"])
    try:
        # As if the killed master's number had been given to it.
        pidfile.write_text(f"{other.pid}\n")
        report.write_text(json.dumps(told | {"pid": other.pid}))
        worker = redis_worker("--pidfile", pidfile).ready()
        assert pidfile.read_text() == f"{worker.pid}\n"
        assert worker.stop() == 0
        # Where nothing tells when its owner was started, it is believed.
        pidfile.write_text(f"{other.pid}\n")
        refuse(command, "-A", DRILL, "--pidfile", pidfile, mentions=[str(pidfile), str(other.pid)], code=73)
    finally:
        other.kill()
        other.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="looks at a master's descriptors")
def test_of_two_that_start_at_once_one_gets_a_stale_pidfile(redis_worker, folder):
    pidfile = folder / "pid"
    gone = subprocess.Popen(["true"])
    gone.wait()
    # A FIFO holds both where they have seen that there is a file and not yet whose it is.
    os.mkfifo(pidfile)
    hold = os.open(pidfile, os.O_RDWR)
    started = [redis_worker("--pidfile", pidfile, node=f"n{number}@local", concurrency=1).start() for number in range(2)]
    for worker in started:
        until(lambda: str(pidfile) in processes.descriptors(worker.pid).values(), what="the look at the file")
    # What one reads at a time.
    os.write(hold, f"{gone.pid}\n".encode().ljust(64) * 8)
    until(lambda: not all(worker.running for worker in started), what="the end of one")
    [winner] = [worker for worker in started if worker.running]
    [loser] = [worker for worker in started if worker is not winner]
    assert loser.wait() == 73 and f"belongs to process {winner.pid}" in loser.log.text
    os.close(hold)
    winner.ready()
    assert pidfile.read_text() == f"{winner.pid}\n"
    assert winner.stop() == 0
    # Nothing is left behind.
    assert not list(folder.glob("pid*"))


def test_a_pidfile_with_nonsense_in_it_is_taken_over_or_refused_in_one_line(redis_worker, folder):
    pidfile = folder / "pid"
    pidfile.write_text("what?\n")
    worker = redis_worker("--pidfile", pidfile).start()
    until(lambda: worker.notify.messages("READY=1") or not worker.running, what="a decision")
    if not worker.running:
        assert str(pidfile) in worker.log.text and 0 < worker.wait() < 128


def test_a_pidfile_of_a_living_worker_ends_the_second_with_73(redis_worker, command, folder):
    pidfile = folder / "pid"
    worker = redis_worker("--pidfile", pidfile).ready()
    refuse(command, "-A", DRILL, "--pidfile", pidfile, mentions=[str(pidfile), str(worker.pid)], code=73)
    assert worker.running
    assert pidfile.read_text().strip() == str(worker.pid)


def test_a_pidfile_that_can_not_be_written_is_refused(command, folder):
    refuse(command, "-A", DRILL, "--pidfile", folder / "no" / "such" / "pid", mentions=[str(folder / "no")])
    refuse(command, "-A", DRILL, "--pidfile", folder, mentions=[str(folder)])
    assert [path.name for path in folder.parent.glob(folder.name + "*")] == [folder.name]


def test_a_pidfile_that_can_not_be_written_whole_is_refused(redis_worker, folder):
    pidfile = folder / "pid"
    worker = redis_worker("--pidfile", pidfile, prefix=("prlimit", "--fsize=2")).start()
    assert worker.wait() == 73
    assert "--pidfile: write: File too large" in worker.log.text and not list(folder.glob("pid*"))


def test_a_limit_of_file_sizes_ends_no_master(redis_worker, app, folder):
    logfile = folder / "log"
    worker = redis_worker("--pidfile", folder / "pid", "--logfile", logfile, prefix=("prlimit", "--fsize=64")).ready()
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert logfile.stat().st_size == 64
    assert worker.stop() == 0


def test_half_a_report_of_reloads_is_none(redis_worker, folder):
    worker = redis_worker("--pidfile", folder / "pid", prefix=("prlimit", "--fsize=20")).ready()
    worker.log.wait("How reloads go is not told: write: File too large, ignoring")
    assert [path.name for path in folder.glob("pid*")] == ["pid"]


def test_too_few_descriptors_are_no_wrong_worker(workers, folder):
    environment = {"COPPICE_BROKER_URL": f"sqlite:///{folder}/coppice.db"}
    for limit in range(12, 28, 2):
        prefix = ("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh")
        worker = workers(concurrency=1, environment=environment, prefix=prefix).start()
        until(lambda: not worker.running or worker.log.find("next attempt|is ready"), what=lambda: worker.log.text)
        assert worker.running or worker.wait() == 1, (limit, worker.log.text)
        worker.close()


def test_a_child_that_takes_longer_than_it_may_for_its_start_is_told_of_the_flag(redis_worker, python_worker, folder):
    os.mkfifo(folder / "gate")
    settings = folder / "settings.yaml"
    settings.write_text("version: 1\nworker: {child-start-timeout: 0.5}\n")
    slow = python_worker("", serve=f'open("{folder}/gate").close()\nserve()')
    worker = redis_worker("--config", settings, app=slow, concurrency=1).start()
    worker.log.wait(r"did not become ready within 0\.5 s \(--child-start-timeout\); it is killed")
    worker.log.wait("killed: it was not ready within 0.5 s")


def test_the_log_goes_to_a_file_when_asked(redis_worker, folder):
    logfile = folder / "log"
    worker = redis_worker("--logfile", logfile, "-l", "debug").ready()
    until(lambda: logfile.exists() and "ready" in logfile.read_text(), what="the log")
    assert worker.stop() == 0


def test_a_fifo_that_nobody_reads_is_refused_as_a_log(command, folder):
    os.mkfifo(folder / "log")
    refuse(command, "-A", DRILL, "--logfile", folder / "log", mentions=["--logfile", str(folder / "log"), "nobody reads"])


def test_the_banner_has_the_essentials(workers, redis_server):
    worker = workers(
        "-Q", "one,two", app=EXAMPLE, concurrency=3, node="web@shop", environment={"COPPICE_BROKER_URL": redis_server.url()}
    ).ready()
    for text in ("web@shop", f"127.0.0.1:{redis_server.port}", "one", "two", "3", "example.add", "email.send", "data.process"):
        worker.log.wait(re.escape(text), timeout=3)
    assert redis_server.password not in worker.log.text


def test_node_names_expand_as_celerys_do(redis_worker, app):
    host = os.uname().nodename
    redis_worker(node="w1@%h").ready()
    assert app.control.ping(timeout=2, destination=[f"w1@{host}"]) == [{f"w1@{host}": {"ok": "pong"}}]


def test_a_units_default_name_goes_behind_the_file_and_the_flag(redis_worker, folder):
    settings = folder / "settings.yaml"
    settings.write_text("version: 1\n")
    unit = {"COPPICE_DEFAULT_HOSTNAME": "mail@%h"}
    host = os.uname().nodename
    worker = redis_worker("--config", settings, node=None, environment=unit).ready()
    worker.log.wait(f" mail@{host} ready")
    assert "COPPICE_DEFAULT_HOSTNAME" not in worker.log.text
    settings.write_text("worker: {hostname: filed@%h}\n")
    redis_worker("--config", settings, node=None, environment=unit).ready().log.wait(f" filed@{host} ready")
    redis_worker("--config", settings, node="flagged@%h", environment=unit).ready().log.wait(f" flagged@{host} ready")


def test_a_wrong_default_name_is_named_with_its_variable(command):
    refuse(command, "-A", DRILL, mentions=["environment variable COPPICE_DEFAULT_HOSTNAME", "%x"], code=2, COPPICE_DEFAULT_HOSTNAME="a@%x")


def test_the_version_is_printed(command):
    done = command.run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"(coppice )?\d+\.\d+\.\d+\S*", done.stdout.strip())


def test_help_lists_the_commands(command):
    for arguments in (["help"], ["--help"]):
        done = command.run(*arguments)
        assert done.returncode == 0
        for name in ("worker", "call", "result", "revoke"):
            assert name in done.stdout


def test_an_unknown_command_is_named(command):
    done = command.run("wrok")
    assert 0 < done.returncode < 128
    assert "wrok" in done.stderr


def test_the_first_result_comes_soon_after_the_start(redis_worker, app, results):
    sent = app.send_task("drill.add", (2, 3))
    started_at = time.monotonic()
    redis_worker().start()
    results.wait(sent.id, "SUCCESS")
    assert time.monotonic() - started_at < 2


def test_the_binary_is_the_release_build():
    assert Path(COPPICE).resolve().parent.name == "release"
