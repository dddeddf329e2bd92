"""Children are replaced after so many tasks or when they hold too much, and nobody has to wait for it."""

import os
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest

from support import processes
from support.waiting import until


def test_no_child_runs_more_tasks_than_it_may(redis_worker, app):
    worker = redis_worker("--max-tasks-per-child", 10).ready()
    sent = [app.send_task("drill.getpid") for _ in range(300)]
    ran = Counter(result.get(timeout=20) for result in sent)
    assert sum(ran.values()) == 300
    assert max(ran.values()) <= 10
    assert worker.running and not worker.log.find("ERROR")


def test_a_process_for_each_task(redis_worker, app):
    redis_worker("--max-tasks-per-child", 1, concurrency=1).ready()
    sent = [app.send_task("drill.getpid") for _ in range(20)]
    assert len({result.get(timeout=20) for result in sent}) == 20


def test_the_next_child_is_ready_before_the_old_one_leaves(redis_worker, app, results):
    worker = redis_worker("--max-tasks-per-child", 1, concurrency=1).ready()
    sent = app.send_task("drill.sleep", (1,))
    old = results.wait(sent.id, "STARTED")["result"]["pid"]
    worker.log.wait(r"is ready", after=1)
    worker.log.wait(rf"pid {old}\) makes way for")
    # The old one is still at work: what comes now waits for it, and for nothing else.
    (ready,) = set(worker.children) - {old}
    following = app.send_task("drill.getpid")
    assert sent.get(timeout=10) == 1
    assert following.get(timeout=10) == ready
    until(lambda: not processes.alive(old), what="the old child's end")


def test_no_more_tasks_run_than_there_are_children(redis_worker, app, ledger):
    redis_worker("--max-tasks-per-child", 1, *ledger.flags, environment=ledger.environment).all_ready()
    for result in [app.send_task("drill.witness.early", (0.3, 0)) for _ in range(10)]:
        result.get(timeout=20)
    runs = ledger.runs()
    assert len({run.pid for run in runs}) == 10
    assert max(sum(other.start <= run.start < other.end for other in runs) for run in runs) == 2


def test_what_it_gives_back_is_not_counted(redis_worker, app):
    worker = redis_worker("--max-tasks-per-child", 40, concurrency=1).ready()
    # Short ones, so that more is written ahead; then a long one, so that what is behind it is given back.
    sent = [app.send_task("drill.getpid") for _ in range(30)]
    long = app.send_task("drill.sleep", (0.3,))
    more = [app.send_task("drill.getpid") for _ in range(100)]
    ran = Counter(result.get(timeout=20) for result in sent + more)
    assert long.get(timeout=5) == 0.3
    assert sum(ran.values()) == 130 and max(ran.values()) <= 40
    assert worker.running


def test_a_child_that_holds_too_much_after_a_task_is_replaced(redis_worker, app, python_worker):
    path = python_worker("""
held = []
TASKS["pid"] = lambda args, kwargs: os.getpid()
TASKS["hold"] = lambda args, kwargs: held.append(b"x" * (args[0] << 20)) or os.getpid()
""")
    worker = redis_worker("--max-memory-per-child", 80 << 10, app=path, concurrency=1).ready()
    first = app.send_task("hold", (20,)).get(timeout=10)
    assert app.send_task("pid").get(timeout=10) == first
    assert app.send_task("hold", (80,)).get(timeout=10) == first
    worker.log.wait(rf"pid {first}\) holds [0-9]+ KiB, more than 81920: it is replaced")
    until(lambda: not processes.alive(first), what="its end")
    assert app.send_task("pid").get(timeout=10) != first


def test_a_task_that_holds_too_much_may_be_killed(redis_worker, app):
    worker = redis_worker("--max-memory-per-child", 100 << 10, "--max-memory-kills").all_ready()
    before = set(worker.children)
    sent_at = time.monotonic()
    error = app.send_task("drill.eat", (200, 30)).get(timeout=10, propagate=False)
    assert time.monotonic() - sent_at < 5
    assert type(error).__name__ == "WorkerLostError" and "memory limit" in str(error)
    worker.log.wait("is ready", after=2)
    assert len(set(worker.children) & before) == 1


def test_without_that_it_may_finish(redis_worker, app):
    redis_worker("--max-memory-per-child", 100 << 10).ready()
    assert app.send_task("drill.eat", (200, 2.5)).get(timeout=10) == 200


def test_a_child_stays_while_none_can_take_its_place(redis_worker, app, python_worker):
    path = python_worker("""
held = []
TASKS["hold"] = lambda args, kwargs: held.append(b"x" * (args[0] << 20)) or os.getpid()
""")
    worker = redis_worker("--max-memory-per-child", 40 << 10, app=path, concurrency=1).ready()
    good = path.read_text()
    path.write_text("#!/bin/sh\nexit 3\n")
    first = app.send_task("hold", (60,)).get(timeout=10)
    worker.log.wait("ended before it was ready: exitcode 3", after=1)
    assert app.send_task("hold", (0,)).get(timeout=10) == first
    path.write_text(good)
    until(lambda: not processes.alive(first), what="its end")
    assert app.send_task("hold", (0,)).get(timeout=10) != first


def test_one_that_dies_while_it_is_replaced_is_missed_by_nobody(redis_worker, app, results):
    worker = redis_worker("--max-tasks-per-child", 2, concurrency=1).ready()
    for _ in range(5):
        # One of the two that are there while the one takes the other's place; it may be gone already.
        with suppress(ProcessLookupError):
            os.kill(worker.children[-1], signal.SIGKILL)
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert worker.running


@pytest.mark.parametrize("flags", [("--max-tasks-per-child", 0), ("--max-memory-per-child", "much")])
def test_a_wrong_value_is_said(redis_worker, flags):
    worker = redis_worker(*flags).start()
    assert worker.wait() != 0
    assert flags[0] in worker.log.text
