"""What hangs is found, told of, killed and replaced; what can't be killed holds nobody up."""

import contextlib
import os
import re
import signal
import time

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from support import processes
from support.waiting import until

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="wants root: it traces a child")


def lost(sent, timeout=10):
    with pytest.raises(WorkerLostError) as raised:
        sent.get(timeout=timeout)
    return raised.value.args[0]


def test_a_stopped_child_is_found_within_three_beats(worker, app, results):
    worker.all_ready()
    sent = app.send_task("drill.sleep", (60,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGSTOP)
    stopped_at = time.monotonic()
    text = lost(sent)
    # The last beat was up to a second before the stop.
    assert 1.9 < time.monotonic() - stopped_at < 3.6
    assert "Killed: it had been silent for 3 s, stopped by a signal." in text
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    until(lambda: len(worker.children) == 2, what="a successor")


def test_a_task_that_keeps_its_heartbeats_is_not_disturbed(worker, app):
    assert app.send_task("drill.beat", (10, 0.1, 0.5, 0.2)).get(timeout=10) == 10


def test_a_task_that_breaks_its_heartbeat_is_killed(worker, app, results):
    sent = app.send_task("drill.beat", (4, 0.2, 0.6, 60))
    results.wait(sent.id, "STARTED")
    started_at = time.monotonic()
    text = lost(sent)
    # The last one came 0.6 s after the start.
    assert 1.1 < time.monotonic() - started_at < 2.2
    assert "Killed: the task had promised a heartbeat within 0.6 s, and none came." in text
    worker.log.wait(r"had promised a heartbeat within 0\.6 s; it is killed")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_heartbeat_ends_with_its_task(redis_worker, app):
    redis_worker(concurrency=1).ready()
    assert app.send_task("drill.beat", (1, 0, 0.5, 0)).get(timeout=10) == 1
    assert app.send_task("drill.sleep", (1.2,)).get(timeout=10) == 1.2


def test_thousands_of_heartbeats_cost_nothing(worker, app):
    assert app.send_task("drill.beat", (20_000, 0, 5, 0)).get(timeout=10) == 20_000


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_heartbeat_that_is_no_time_is_a_bad_frame(redis_worker, app, python_worker, seconds):
    redis_worker(app=python_worker(f"""
def swear(args, kwargs):
    send(9, struct.pack(">Qd", 1, float("{seconds}")))
    time.sleep(30)

TASKS["bad.swear"] = swear
""")).ready()
    assert "Killed for breaking the pipe protocol: a bad frame" in lost(app.send_task("bad.swear"))


def test_nobody_promises_for_what_does_not_run(redis_worker, app, python_worker):
    redis_worker(app=python_worker("""
def swear(args, kwargs):
    send(9, struct.pack(">Qd", 77, 0.1))
    time.sleep(30)

TASKS["bad.swear"] = swear
""")).ready()
    assert "a pledge of what does not run" in lost(app.send_task("bad.swear"))


@pytest.mark.parametrize("paused", ["the master", "everybody"])
def test_a_pause_breaks_no_promise(redis_worker, app, results, paused):
    worker = redis_worker(concurrency=1).ready()
    sent = app.send_task("drill.beat", (25, 0.1, 1.5, 0))
    child = results.wait(sent.id, "STARTED")["result"]["pid"]
    # Nothing tells that the master has read a promise.
    time.sleep(0.3)
    pids = [worker.pid, child] if paused == "everybody" else [worker.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    # Four seconds are what the pause is about: longer than a child may be silent, and than the promise.
    time.sleep(4)
    os.kill(worker.pid, signal.SIGCONT)
    until(lambda: processes.state(worker.pid) == "S", what="the master's look around")
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)
    assert sent.get(timeout=10) == 25
    assert worker.children == [child]


@ROOT
def test_a_child_that_can_not_be_killed_gives_up_its_slot(redis_worker, app, results):
    worker = redis_worker(concurrency=1).ready()
    sent = app.send_task("drill.sleep", (60,), time_limit=0.5)
    child = results.wait(sent.id, "STARTED")["result"]["pid"]
    with processes.held_at_exit(child):
        with pytest.raises(TimeLimitExceeded):
            sent.get(timeout=3)
        assert processes.state(child) == "t"
        # Its slot has another one, and the task its verdict.
        assert app.send_task("drill.add", (2, 3)).get(timeout=5) == 5
        worker.log.wait(rf"Child 1 \(pid {child}\) does not end although it has been killed \(state t\): a corpse")
        worker.log.wait(r"is given up with signal 9 \(SIGKILL\): killed at the hard time limit of 0.5 s, but it does not end: it is held in the kernel")
        until(lambda: any(", 1 corpse;" in text for text in worker.notify.messages("STATUS=")), what="the status")
    worker.log.wait(rf"Child 1 \(pid {child}\), a corpse, is gone")
    until(lambda: "corpse" not in worker.notify.messages("STATUS=")[-1], what="the status")
    assert worker.stop() == 0


@ROOT
@pytest.mark.parametrize("end", ["by itself", "killed at its limit"])
def test_a_child_whose_end_a_tracer_does_not_pass_on_holds_up_nobody(redis_worker, app, results, end):
    worker = redis_worker(concurrency=1).ready()
    limit = {"time_limit": 0.5} if end == "killed at its limit" else {}
    sent = app.send_task("drill.sleep", (60,), **limit)
    child = results.wait(sent.id, "STARTED")["result"]["pid"]
    with processes.held_as_zombie(child):
        if end == "by itself":
            os.kill(child, signal.SIGKILL)
        until(lambda: processes.state(child) == "Z", what="its end")
        before, used = time.monotonic(), processes.cpu_seconds(worker.pid)
        error = sent.get(timeout=5, propagate=False)
        assert type(error).__name__ == ("TimeLimitExceeded" if limit else "WorkerLostError")
        assert "is held by what traces it" in (sent.traceback if limit else str(error))
        assert app.send_task("drill.add", (2, 3)).get(timeout=5) == 5
        # It is looked at again and again, but not all the time.
        until(lambda: time.monotonic() > before + 3, what="some looks")
        assert processes.cpu_seconds(worker.pid) - used < 0.3
        worker.log.wait(rf"Child 1 \(pid {child}\) has ended, but is held by what traces it: a corpse")
        assert processes.state(child) == "Z"
    worker.log.wait(rf"Child 1 \(pid {child}\), a corpse, is gone")
    assert worker.stop() == 0


@ROOT
def test_a_late_task_goes_on_elsewhere_although_its_corpse_is_still_there(redis_worker, app, results):
    worker = redis_worker().all_ready()
    sent = app.send_task("drill.late", (0.5,))
    child = results.wait(sent.id, "STARTED")["result"]["pid"]
    with processes.held_at_exit(child):
        os.kill(child, signal.SIGKILL)
        # Found as any child that has fallen silent.
        second = sent.get(timeout=10)
        assert second != child
        assert worker.stop() == 0
        assert re.search(rf"leaving 1 corpse\(s\) behind: Child \d \(pid {child}\)", worker.log.text)


@ROOT
@pytest.mark.parametrize("end", ["one is gone", "shutdown"])
def test_there_are_no_more_corpses_than_slots(redis_worker, app, results, end):
    worker = redis_worker(concurrency=1).ready()
    with contextlib.ExitStack() as held:
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        held.enter_context(first)
        held.enter_context(second)
        for stack in (first, second):
            sent = app.send_task("drill.sleep", (60,), time_limit=0.3)
            child = results.wait(sent.id, "STARTED", timeout=5)["result"]["pid"]
            stack.enter_context(processes.held_at_exit(child))
            if stack is first:
                with pytest.raises(TimeLimitExceeded):
                    sent.get(timeout=3)
        worker.log.wait(rf"Hard time limit .* exceeded in child 1 \(pid {child}\)")
        next_one = app.send_task("drill.add", (2, 3))
        # Longer than it takes to make a corpse.
        time.sleep(1.5)
        assert len(worker.log.find("a corpse; its slot")) == 1 and not next_one.ready()
        if end == "shutdown":
            assert worker.stop(timeout=5) == 0
            assert worker.log.find(r"leaving 2 corpse\(s\) behind")
            return
        first.close()
        # There is room for another corpse.
        assert next_one.get(timeout=5) == 5
        assert len(worker.log.find("a corpse; its slot")) == 2
