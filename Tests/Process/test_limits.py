"""Soft limits: from the message's header and from the command line, seen by the task as a cancellation."""

import time

import pytest
from billiard.exceptions import SoftTimeLimitExceeded


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
