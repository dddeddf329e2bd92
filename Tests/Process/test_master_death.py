"""kill -9 of the master: no child is left, nothing is lost, and nothing runs twice that must not."""

import os
import signal
import time

import pytest
from billiard.exceptions import WorkerLostError

from support import processes
from support.envelope import record
from support.waiting import until


def gone_within_a_second(pids, killed_at):
    until(lambda: not any(processes.alive(pid) for pid in pids), timeout=1.0, what=f"the end of {pids}")
    assert time.monotonic() - killed_at < 1.1


def test_idle_children_go_with_their_master(worker):
    worker.all_ready()
    killed_at = time.monotonic()
    orphans = worker.kill()
    assert len(orphans) == 2
    gone_within_a_second(orphans, killed_at)


@pytest.mark.parametrize("task", ["drill.sleep", "drill.spin"])
def test_a_busy_child_goes_with_its_master(worker, app, results, task):
    sent = app.send_task(task, (30,))
    results.wait(sent.id, "STARTED")
    killed_at = time.monotonic()
    gone_within_a_second(worker.kill(), killed_at)


def test_a_stopped_child_goes_with_its_master(worker, app, results):
    sent = app.send_task("drill.sleep", (30,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGSTOP)
    killed_at = time.monotonic()
    gone_within_a_second(worker.kill(), killed_at)


def test_after_a_restart_a_late_task_runs_again_within_ten_seconds(redis_worker, app, results):
    first = redis_worker().ready()
    sent = app.send_task("drill.late", (0.5,))
    lost = results.wait(sent.id, "STARTED")["result"]["pid"]
    first.kill()
    redis_worker().ready()
    restarted_at = time.monotonic()
    assert sent.get(timeout=12) != lost
    assert time.monotonic() - restarted_at < 10


def test_another_node_takes_over_what_a_dead_one_held(redis_worker, app, results):
    first = redis_worker(node="one@local", concurrency=1).ready()
    blocker = app.send_task("drill.late", (1,))
    lost = results.wait(blocker.id, "STARTED")["result"]["pid"]
    waiting = [app.send_task("drill.add", (n, 1)) for n in range(10)]
    redis_worker(node="two@local", concurrency=1).ready()
    first.kill()
    assert blocker.get(timeout=12) != lost
    assert [result.get(timeout=12) for result in waiting] == [n + 1 for n in range(10)]


def test_a_started_early_task_gets_one_verdict_and_never_runs_again(redis_worker, app, results):
    first = redis_worker().ready()
    sent = app.send_task("drill.sleep", (30,))
    results.wait(sent.id, "STARTED")
    first.kill()
    redis_worker().ready()
    with pytest.raises(WorkerLostError):
        sent.get(timeout=12)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    results.wait(sent.id, "FAILURE")
    assert results.statuses(sent.id) == ["STARTED", "FAILURE"]


def test_a_parked_task_outlives_the_node_that_parked_it(redis_worker, app, redis, results):
    first = redis_worker().ready()
    due = time.time() + 3
    sent = app.send_task("drill.add", (2, 3), countdown=3)
    until(lambda: redis.llen("celery") == 0 and redis.hlen("unacked") == 1, what="the task to be parked")
    first.kill()
    redis_worker().ready()
    assert sent.get(timeout=15) == 5
    assert time.time() >= due


def test_nothing_is_lost_when_the_master_dies_again_and_again(redis_worker, app, redis):
    """300 tasks that must not be lost, three masters killed at whatever they were doing."""
    sent = [app.send_task("drill.late", (0.01,)) for n in range(300)]
    for _ in range(3):
        worker = redis_worker().ready()
        done = sum(record(redis, task.id) is not None for task in sent)
        until(lambda: sum(record(redis, task.id) is not None for task in sent) >= min(done + 30, 300), what="some progress", timeout=20)
        worker.kill()
    redis_worker().ready()
    for task in sent:
        assert isinstance(task.get(timeout=20), int)
    assert redis.hlen("unacked") == 0 and redis.llen("celery") == 0


def test_on_sqlite_too_a_late_task_runs_again(any_worker, broker, folder):
    ledger = folder / "ledger"
    first = any_worker().ready()
    sent = broker.command.call("drill.ledger", str(ledger), "a", 0.5)
    until(lambda: ledger.exists() and ledger.read_text().endswith("\n"), what="the first start")
    killed_at = time.monotonic()
    gone_within_a_second(first.kill(), killed_at)
    any_worker().ready()
    until(lambda: len(ledger.read_text().splitlines()) == 2, timeout=12, what="the second start")
    broker.command.result(sent)
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert [line[0] for line in lines] == ["a", "a"] and lines[0][1] != lines[1][1]
