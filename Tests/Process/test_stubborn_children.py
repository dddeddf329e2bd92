"""Children that live and do not do what they should: each has a deadline, and none holds up the master."""

import os
import signal
import time

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from support import processes
from support.waiting import until

# The first process of the pool takes what it is given and never begins it; its successors are sound.
SLEEPY = """
def doze():
    receive()
    ready()
    while True:
        if receive()[0] == 2:
            open({mark!r}, "w").close()

TASKS["good.add"] = lambda args, kwargs: sum(args)
try:
    os.close(os.open({first!r}, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    serve()
doze()
"""


@pytest.fixture
def sleepy(redis_worker, python_worker, folder):
    """A worker whose one child never begins a task, and the file that tells when it was given one."""
    mark = folder / "given"
    path = python_worker(SLEEPY.format(mark=str(mark), first=str(folder / "first")), serve="")
    return redis_worker(app=path, concurrency=1).ready(), mark


def test_a_big_message_to_a_stopped_child_runs_in_its_successor(redis_worker, app):
    worker = redis_worker(concurrency=1).ready()
    os.kill(worker.children[0], signal.SIGSTOP)
    # More than a pipe holds: the rest waits with the master when the child is killed for its silence.
    sent = app.send_task("drill.tsum", ([1] * 100_000,))
    assert sent.get(timeout=10) == 100_000
    assert worker.stop() == 0


def test_a_child_that_never_begins_its_task_is_killed_and_the_task_runs_elsewhere(sleepy, app):
    worker, _ = sleepy
    assert app.send_task("good.add", (2, 3)).get(timeout=15) == 5
    worker.log.wait("has not begun")


def test_a_child_that_never_begins_its_task_holds_up_no_warm_shutdown(sleepy, app, redis):
    worker, mark = sleepy
    app.send_task("good.add", (2, 3))
    until(mark.exists, what="the hand-out")
    stopped_at = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - stopped_at < 5
    assert redis.llen("celery") == 1


def test_a_task_that_had_begun_may_take_its_time_at_a_warm_shutdown(worker, app, results):
    sent = app.send_task("drill.spin", (2.5,))
    results.wait(sent.id, "STARTED")
    assert worker.stop() == 0
    assert sent.get(timeout=1) == 2.5


def test_a_task_that_begins_as_the_stop_comes_may_take_its_time_too(redis_worker, app, python_worker, folder):
    mark = folder / "given"
    worker = redis_worker(concurrency=1, app=python_worker('TASKS["good.slow"] = lambda args, kwargs: time.sleep(2.5)', serve=f"""
receive()
ready()
_, given = receive()
open({str(mark)!r}, "w").close()
receive()
run(given)
""")).ready()
    sent = app.send_task("good.slow")
    until(mark.exists, what="the hand-out")
    assert worker.stop() == 0
    assert app.AsyncResult(sent.id).state == "SUCCESS"


def test_a_child_that_closes_its_pipe_and_goes_on_is_killed_though_it_never_beats(redis_worker, app, python_worker):
    worker = redis_worker(concurrency=1, app=python_worker("""
def hang_up(args, kwargs):
    os.close(UP)
    time.sleep(60)

TASKS["bad.hangup"] = hang_up
TASKS["good.add"] = lambda args, kwargs: sum(args)
""")).ready()
    with pytest.raises(WorkerLostError):
        app.send_task("bad.hangup").get(timeout=5)
    worker.log.wait("closed its pipe")
    assert app.send_task("good.add", (2, 3)).get(timeout=5) == 5


def test_a_child_that_has_left_its_group_is_killed_all_the_same(redis_worker, app, python_worker):
    worker = redis_worker(concurrency=1, app=python_worker("""
def leave(args, kwargs):
    os.setpgid(0, os.getpgid(os.getppid()))
    time.sleep(60)

TASKS["bad.leave"] = leave
""")).ready()
    (child,) = worker.children
    with pytest.raises(TimeLimitExceeded):
        app.send_task("bad.leave", time_limit=0.5).get(timeout=5)
    assert not processes.alive(child) and not worker.log.find("corpse")


# Promises to beat and never does.
MUTE = """
def ready(version=1):
    declared = b"".join(data(name) + data("{}") for name in TASKS)
    send(1, struct.pack(">HHBI", version, 0, 1, len(TASKS)) + declared)

def spin(args, kwargs):
    end = time.monotonic() + args[0]
    while time.monotonic() < end:
        pass

TASKS["mute.spin"] = spin
TASKS["mute.sleep"] = lambda args, kwargs: time.sleep(args[0])
"""


def test_a_silent_child_that_wants_to_run_is_given_time_and_one_that_does_not_is_killed(redis_worker, app, python_worker):
    worker = redis_worker(concurrency=1, app=python_worker(MUTE)).ready()
    sent_at = time.monotonic()
    assert app.send_task("mute.spin", (5,)).get(timeout=10) is None
    assert time.monotonic() - sent_at >= 5 and not worker.log.find("silent")
    with pytest.raises(WorkerLostError):
        app.send_task("mute.sleep", (60,)).get(timeout=6)
    worker.log.wait("has been silent")


def test_a_flood_of_frames_holds_up_nobody_and_ends_at_its_time_limit(redis_worker, app, results, python_worker):
    # Three at once, on pipes as large as may be: there is always one to be read.
    worker = redis_worker(concurrency=4, app=python_worker("""
def babble(args, kwargs):
    import fcntl
    fcntl.fcntl(UP, fcntl.F_SETPIPE_SZ, 1 << 20)
    frames = struct.pack(">IBQ", 9, 5, 0) * 50_000
    while True:
        left = memoryview(frames)
        while left:
            left = left[os.write(UP, left):]

TASKS["bad.babble"] = babble
TASKS["good.add"] = lambda args, kwargs: sum(args)
""")).all_ready(4)
    floods = [app.send_task("bad.babble", time_limit=2) for _ in range(3)]
    for sent in floods:
        results.wait(sent.id, "STARTED")
    for n in range(10):
        assert app.send_task("good.add", (n, 3)).get(timeout=2) == n + 3
    for sent in floods:
        with pytest.raises(TimeLimitExceeded):
            sent.get(timeout=6)
    assert worker.stop() == 0


def test_a_pause_of_all_processes_kills_no_child(worker, app):
    children = worker.all_ready().children
    for pid in [worker.pid, *children]:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: processes.state(pid) == "T", what="the stop")
    time.sleep(5)
    # The master first: it finds that nobody has beaten since.
    worker.signal(signal.SIGCONT)
    until(lambda: processes.state(worker.pid) == "S", what="the master's look around")
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert worker.children == children
