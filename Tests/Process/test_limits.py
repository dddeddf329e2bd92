"""Soft limits: from the message's header and from the command line, seen by the task as a cancellation. Hard ones, which nobody outlives.
Neither asks what the broker does, or whether the worker is about to go."""

import signal
import time

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from support import processes
from support.celery_app import make_app
from support.waiting import until


def test_a_soft_limit_in_the_message_reaches_the_task(worker, app):
    sent_at = time.monotonic()
    assert app.send_task("drill.soft", (20,), soft_time_limit=0.5).get(timeout=10) == "soft"
    assert 0.4 < time.monotonic() - sent_at < 3


def test_a_soft_limit_of_the_worker_reaches_the_task(redis_worker, app):
    redis_worker("--soft-time-limit", 0.5).ready()
    assert app.send_task("drill.soft", (20,)).get(timeout=10) == "soft"


def test_the_messages_limit_goes_before_the_workers(redis_worker, app):
    redis_worker("--soft-time-limit", 0.2).ready()
    assert app.send_task("drill.soft", (1,), soft_time_limit=10).get(timeout=10) == 1


def test_a_task_that_ends_in_time_hears_of_no_limit(worker, app):
    assert app.send_task("drill.soft", (0.2,), soft_time_limit=5).get(timeout=10) == 0.2
    assert app.send_task("drill.soft", (0.7,)).get(timeout=10) == 0.7


def test_a_task_that_lets_the_limit_through_fails_with_celerys_exception(worker, app):
    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("drill.sleep", (20,), soft_time_limit=0.5).get(timeout=10)


def test_only_the_task_over_its_limit_is_cancelled(worker, app):
    worker.all_ready()
    long = app.send_task("drill.soft", (1.5,))
    short = app.send_task("drill.soft", (20,), soft_time_limit=0.5)
    assert short.get(timeout=10) == "soft"
    assert long.get(timeout=10) == 1.5


def test_waiting_in_the_queue_does_not_count(redis_worker, app):
    redis_worker(concurrency=1).ready()
    app.send_task("drill.sleep", (1,))
    assert app.send_task("drill.soft", (0.2,), soft_time_limit=0.8).get(timeout=10) == 0.2


# MARK: hard limits


def over_the_limit(sent, seconds, timeout=10):
    with pytest.raises(TimeLimitExceeded) as raised:
        sent.get(timeout=timeout)
    assert raised.value.args == (seconds,)


def test_the_hard_limit_of_the_message_goes_before_the_tasks_and_that_before_the_workers(redis_worker, app, python_worker):
    redis_worker("--time-limit", 0.9, app=python_worker("""
TASKS["slow.declared"] = TASKS["slow.plain"] = lambda args, kwargs: time.sleep(30)
OPTIONS["slow.declared"] = {"time_limit": 0.6}
""")).ready()
    over_the_limit(app.send_task("slow.plain"), 0.9)
    over_the_limit(app.send_task("slow.declared"), 0.6)
    over_the_limit(app.send_task("slow.declared", time_limit=0.3), 0.3)


def test_a_task_that_goes_on_over_its_soft_limit_is_killed_at_the_hard_one(worker, app):
    over_the_limit(app.send_task("drill.spin", (30,), soft_time_limit=0.3, time_limit=0.8), 0.8)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_what_the_task_has_spawned_dies_with_it(redis_worker, app, folder, python_worker):
    path = folder / "grandchild"
    redis_worker(app=python_worker(f"""
def family(args, kwargs):
    import subprocess
    # One that hears no polite signal, and one of its own.
    made = subprocess.Popen(["sh", "-c", "trap '' TERM HUP; sleep 60 & echo $$ $! > {path}.new; mv {path}.new {path}; wait"])
    time.sleep(60)

TASKS["bad.family"] = family
""")).ready()
    sent = app.send_task("bad.family", time_limit=1)
    pids = [int(pid) for pid in until(lambda: path.exists() and path.read_text(), what="the grandchildren").split()]
    assert len(pids) == 2 and all(map(processes.alive, pids))
    over_the_limit(sent, 1)
    until(lambda: not any(map(processes.alive, pids)), timeout=2, what="the end of the grandchildren")


def test_limits_hold_while_the_broker_is_away(workers, own_redis):
    server = own_redis()
    app = make_app(server.url())
    worker = workers(environment={"COPPICE_BROKER_URL": server.url()}).all_ready()
    hard = app.send_task("drill.spin", (60,), time_limit=1)
    soft = app.send_task("drill.soft", (60,), soft_time_limit=1)
    until(lambda: all(sent.state == "STARTED" for sent in (hard, soft)), what="both starts")
    started_at = time.monotonic()
    server.process.send_signal(signal.SIGSTOP)
    try:
        worker.log.wait(r"Hard time limit \(1\.0s\) exceeded for drill\.spin", timeout=3)
        worker.log.wait(r"drill\.soft.* succeeded", timeout=3)
        assert time.monotonic() - started_at < 2.5
        until(lambda: len(worker.log.find("is ready")) == 3, what="the successor")
    finally:
        server.process.send_signal(signal.SIGCONT)
    over_the_limit(hard, 1)
    assert soft.get(timeout=10) == "soft"
    app.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_limits_hold_while_the_worker_drains(worker, app, results, number):
    worker.all_ready()
    hard = app.send_task("drill.spin", (60,), time_limit=1)
    soft = app.send_task("drill.soft", (60,), soft_time_limit=1)
    for sent in (hard, soft):
        results.wait(sent.id, "STARTED")
    stopped_at = time.monotonic()
    assert worker.stop(number) == (0 if number == signal.SIGTERM else 1)
    assert 0.4 < time.monotonic() - stopped_at < 3
    over_the_limit(hard, 1)
    assert soft.get(timeout=5) == "soft"
