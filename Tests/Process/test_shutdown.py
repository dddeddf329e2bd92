"""Stop signals: what runs is finished or settled, the rest goes back to the head of its queue."""

import contextlib
import json
import os
import signal
import sqlite3

import pytest

from support import processes
from support.command import Command
from support.envelope import record
from support.waiting import until

STOPPING = "STOPPING=1"


@pytest.fixture
def busy(redis_worker, app, results):
    """A worker with one child, one task in work and six behind it: (worker, running, waiting)"""

    def make(task="drill.sleep", seconds=1):
        worker = redis_worker(concurrency=1).ready()
        running = app.send_task(task, (seconds,))
        results.wait(running.id, "STARTED")
        waiting = [app.send_task("drill.add", (n, 1)) for n in range(6)]
        return worker, running, waiting

    return make


def queued_ids(redis):
    """From the queue's head (what would be taken next) to its tail."""
    return [json.loads(message)["headers"]["id"] for message in reversed(redis.lrange("celery", 0, -1))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished_and_the_rest_is_given_back_in_order(busy, redis, number):
    worker, running, waiting = busy()
    worker.signal(number)
    code = worker.wait()
    assert code == (0 if number == signal.SIGTERM else code)
    assert record(redis, running.id)["status"] == "SUCCESS"
    assert queued_ids(redis) == [task.id for task in waiting]
    assert redis.hlen("unacked") == 0 and redis.zcard("unacked_index") == 0
    assert worker.notify.wait(STOPPING)
    assert worker.notify.messages(STOPPING) == [STOPPING]


def test_a_stop_of_an_idle_worker_is_quick_and_clean(worker, redis):
    assert worker.stop(timeout=3) == 0
    assert worker.children == []
    leases = [key for key in redis.keys("*") if redis.ttl(key) == -1 and not key.startswith(b"_kombu")]
    assert leases == []


def test_a_second_sigterm_changes_nothing(busy, redis):
    worker, running, waiting = busy()
    worker.signal(signal.SIGTERM)
    assert worker.notify.wait(STOPPING)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert record(redis, running.id)["status"] == "SUCCESS"
    assert queued_ids(redis) == [task.id for task in waiting]


def test_nothing_new_is_taken_while_stopping(busy, app, redis):
    worker, running, waiting = busy()
    worker.signal(signal.SIGTERM)
    assert worker.notify.wait(STOPPING)
    later = app.send_task("drill.add", (2, 3))
    assert worker.wait() == 0
    assert queued_ids(redis) == [task.id for task in [*waiting, later]]


def test_a_second_sigint_kills_what_runs_and_settles_it(busy, redis, app):
    worker, running, waiting = busy(seconds=30)
    child = worker.children[0]
    worker.signal(signal.SIGINT)
    assert worker.notify.wait(STOPPING)
    worker.signal(signal.SIGINT)
    worker.wait(timeout=5)
    assert not processes.alive(child)
    # It had started and is acknowledged early: it can't run again, so it must not stay STARTED.
    assert record(redis, running.id)["status"] == "FAILURE"
    assert queued_ids(redis) == [task.id for task in waiting]
    assert redis.hlen("unacked") == 0


def test_the_first_sigint_after_a_sigterm_is_a_warning(busy):
    worker, _, _ = busy(seconds=30)
    (child,) = worker.children
    worker.signal(signal.SIGTERM)
    assert worker.notify.wait(STOPPING)
    worker.signal(signal.SIGINT)
    worker.log.wait("Hitting Ctrl\\+C again")
    assert processes.alive(child) and "Cold" not in worker.log.text
    worker.signal(signal.SIGINT)
    assert worker.wait(timeout=5) == 1
    assert "Cold shutdown" in worker.log.text


def test_sigquit_gives_a_late_task_back(busy, redis):
    worker, running, waiting = busy("drill.late", 30)
    worker.signal(signal.SIGQUIT)
    assert worker.wait(timeout=5) == 0
    assert sorted(queued_ids(redis)) == sorted([running.id, *(task.id for task in waiting)])
    assert redis.hlen("unacked") == 0


def test_sigquit_ends_a_child_that_spins(busy):
    worker, running, _ = busy("drill.spin", 30)
    child = worker.children[0]
    worker.signal(signal.SIGQUIT)
    worker.wait(timeout=6)
    assert not processes.alive(child)


def test_a_given_back_task_runs_on_the_next_worker(busy, redis_worker):
    worker, running, waiting = busy()
    assert worker.stop() == 0
    redis_worker().ready()
    assert [task.get(timeout=10) for task in waiting] == [n + 1 for n in range(6)]


def test_control_c_in_a_terminal_reaches_the_master_alone(worker, app, results):
    """A terminal signals the whole foreground group; children lead their own."""
    sent = app.send_task("drill.sleep", (1,))
    results.wait(sent.id, "STARTED")
    os.killpg(worker.pid, signal.SIGINT)
    worker.wait()
    assert sent.get(timeout=5) == 1


def test_a_child_that_dies_while_stopping_does_not_hold_the_stop(busy, redis):
    worker, running, waiting = busy(seconds=30)
    child = worker.children[0]
    worker.signal(signal.SIGTERM)
    assert worker.notify.wait(STOPPING)
    os.kill(child, signal.SIGKILL)
    assert worker.wait(timeout=5) == 0
    assert record(redis, running.id)["result"]["exc_type"] == "WorkerLostError"
    assert queued_ids(redis) == [task.id for task in waiting]


def test_sigterm_before_ready_ends_the_start(redis_worker, own_redis):
    server = own_redis()
    server.stop()
    worker = redis_worker(environment={"COPPICE_BROKER_URL": server.url()}).start()
    worker.log.wait(r"(?i)(retry|again|trying)")
    assert worker.stop(timeout=5) == 0
    assert worker.children == []


def test_on_every_broker_a_stop_gives_back_what_waits(any_worker, broker):
    worker = any_worker(concurrency=1).ready()
    sent = [broker.command.call("drill.sleep", 0.4) for _ in range(4)]
    until(lambda: worker.log.find("received"), what="a task to be taken")
    assert worker.stop() == 0
    any_worker(concurrency=4).ready()
    assert [broker.command.result(task) for task in sent] == [0.4] * 4


def running_late(command, worker, folder):
    """A late task that runs for half a second, once it has begun."""
    ledger = folder / "ledger"
    sent = command.call("drill.ledger", str(ledger), "a", 0.5)
    until(lambda: ledger.exists() and ledger.read_text(), what=lambda: "the start\n" + worker.log.text)
    return sent


def test_a_cold_stop_leaves_a_file_that_another_process_has_locked(workers, folder):
    path = folder / "coppice.db"
    command = Command({"COPPICE_BROKER_URL": f"sqlite:///{path}"})
    worker = workers(environment=command.environment, concurrency=1).ready()
    running_late(command, worker, folder)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        worker.signal(signal.SIGQUIT)
        assert worker.wait(timeout=6) == 0
        assert worker.log.find(r"ERROR.*leaving with 1 message\(s\) not settled")
        other.execute("ROLLBACK")
        assert other.execute("SELECT count(*) FROM held").fetchone() == (1,), "for others to find"


def test_a_stop_leaves_a_result_store_that_is_silent(workers, folder, own_redis):
    store = own_redis()
    command = Command({"COPPICE_BROKER_URL": f"sqlite:///{folder}/coppice.db", "COPPICE_RESULT_BACKEND": store.url()})
    worker = workers(environment=command.environment, concurrency=1).ready()
    running_late(command, worker, folder)
    store.pause()
    worker.signal(signal.SIGTERM)
    assert worker.wait(timeout=14) == 0
    assert worker.log.find(r"ERROR.*leaving with 1 message\(s\) not settled.*result store away")
