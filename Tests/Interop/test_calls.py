"""The Python developer's snippet: an unmodified Celery client, results from Swift."""

import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from celery.exceptions import NotRegistered, TaskRevokedError

from support import EXAMPLE
from support.envelope import META, record


@pytest.fixture
def example(redis_worker):
    return redis_worker(app=EXAMPLE).ready()


def test_a_sum_comes_back(example, app):
    assert app.send_task("example.add", (2, 3)).get(timeout=10) == 5


def test_keywords_bind_like_positions(example, app):
    assert app.send_task("example.add", kwargs={"x": 2, "y": 3}).get(timeout=10) == 5
    assert app.send_task("example.add", (2,), {"y": 3}).get(timeout=10) == 5


def test_progress_is_seen_and_then_the_result(example, app, results):
    sent = app.send_task("data.process", ([1, 2, 3],))
    results.wait(sent.id, "SUCCESS")
    progress = [heard["result"] for heard in results.records[sent.id] if heard["status"] == "PROGRESS"]
    assert progress == [{"current": n, "total": 3} for n in (1, 2, 3)]
    assert sent.get(timeout=10) == {"processed": 3}


def test_an_async_result_reads_progress(example, app):
    sent = app.send_task("data.process", (list(range(5)),))
    seen = []
    sent.get(timeout=20, on_message=lambda message: seen.append((message["status"], message["result"])))
    assert ("PROGRESS", {"current": 3, "total": 5}) in seen


def test_states_go_from_pending_over_started_to_success(worker, app, results):
    assert app.AsyncResult("nobody-sent-this").state == "PENDING"
    sent = app.send_task("drill.sleep", (0.3,))
    started = results.wait(sent.id, "STARTED")
    assert started["result"]["hostname"] == "test@local"
    assert started["result"]["pid"] in worker.children
    assert sent.state == "STARTED"
    results.wait(sent.id, "SUCCESS")
    assert sent.state == "SUCCESS"
    assert results.statuses(sent.id) == ["STARTED", "SUCCESS"]
    assert sent.result == 0.3


def test_the_record_is_celerys(worker, app, redis):
    sent = app.send_task("drill.add", (2, 3))
    sent.get(timeout=10)
    stored = record(redis, sent.id)
    finished = datetime.fromisoformat(stored.pop("date_done"))
    assert stored == {"status": "SUCCESS", "result": 5, "traceback": None, "children": [], "task_id": sent.id}
    assert abs(datetime.now(timezone.utc) - finished) < timedelta(seconds=10)
    assert 86000 < redis.ttl(META + sent.id) <= 86400


def test_a_failure_raises_pythons_exception(worker, app):
    sent = app.send_task("drill.fail", ("no such ledger",))
    with pytest.raises(ValueError, match="^no such ledger$"):
        sent.get(timeout=10)
    assert sent.state == "FAILURE"
    assert sent.traceback


@pytest.mark.parametrize(
    "args, kwargs, says",
    [
        ((1,), {}, "missing 1 required positional argument: 'y'"),
        ((), {}, "missing 2 required positional arguments: 'x' and 'y'"),
        ((1, 2, 3), {}, "takes 2 positional arguments but 3 were given"),
        ((1, 2), {"x": 3}, "got multiple values for argument 'x'"),
        ((1, 2), {"z": 3}, "got an unexpected keyword argument 'z'"),
    ],
)
def test_wrong_arguments_raise_pythons_type_error(worker, app, args, kwargs, says):
    with pytest.raises(TypeError) as raised:
        app.send_task("drill.add", args, kwargs).get(timeout=10)
    assert says in str(raised.value)


def test_an_argument_of_a_wrong_type_fails_the_task_alone(worker, app):
    with pytest.raises(Exception) as raised:
        app.send_task("drill.add", ("two", 3)).get(timeout=10)
    assert not isinstance(raised.value, TimeoutError)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_an_unknown_task_raises_not_registered(worker, app):
    with pytest.raises(NotRegistered, match="no.such.task"):
        app.send_task("no.such.task").get(timeout=10)


def test_a_retry_shows_and_counts(worker, app, results):
    sent = app.send_task("drill.retry", (2,))
    assert sent.get(timeout=20) == 2
    results.wait(sent.id, "SUCCESS")
    assert results.statuses(sent.id) == ["STARTED", "RETRY", "STARTED", "RETRY", "STARTED", "SUCCESS"]
    retried = [heard for heard in results.records[sent.id] if heard["status"] == "RETRY"][0]
    assert retried["date_done"] is None and retried["task_id"] == sent.id


def test_retries_end_at_the_limit(redis_worker, app):
    redis_worker(environment={"CELERY_TASK_MAX_RETRIES": "1"}).ready()
    sent = app.send_task("drill.retry", (5,))
    with pytest.raises(Exception) as raised:
        sent.get(timeout=20)
    assert not isinstance(raised.value, TimeoutError)
    assert sent.state == "FAILURE"


def test_a_countdown_is_kept(worker, app, results):
    sent_at = time.time()
    sent = app.send_task("drill.add", (1, 1), countdown=1)
    results.wait(sent.id, "SUCCESS")
    assert 1.0 <= time.time() - sent_at < 2.0


def test_an_eta_without_a_zone_is_utc(worker, app, results):
    due = datetime.now(timezone.utc) + timedelta(seconds=1)
    sent = app.send_task("drill.add", (1, 1), eta=due.replace(tzinfo=None))
    results.wait(sent.id, "SUCCESS", timeout=5)
    assert due <= datetime.now(timezone.utc)


def test_an_eta_of_another_zone_is_understood(worker, app, results):
    due = (datetime.now(timezone.utc) + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=8)))
    sent = app.send_task("drill.add", (1, 1), eta=due)
    results.wait(sent.id, "SUCCESS", timeout=5)
    assert due <= datetime.now(timezone.utc)


def test_an_expired_task_is_revoked_and_never_runs(redis_worker, app, results):
    # Sent while no worker is up, with a time that has passed when one is.
    sent = app.send_task("drill.add", (1, 1), expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    redis_worker().ready()
    with pytest.raises(TaskRevokedError, match="expired"):
        sent.get(timeout=10)
    results.wait(sent.id, "REVOKED")
    assert results.statuses(sent.id) == ["REVOKED"]


def test_a_task_that_expires_while_it_waits_for_a_child_is_revoked(redis_worker, app, results):
    redis_worker(concurrency=1).ready()
    app.send_task("drill.sleep", (1.5,))
    sent = app.send_task("drill.add", (1, 1), expires=0.5)
    results.wait(sent.id, "REVOKED")
    assert results.statuses(sent.id) == ["REVOKED"]


def test_an_ignored_result_is_not_stored(worker, app, redis):
    ignored = app.send_task("drill.add", (1, 1), ignore_result=True)
    assert app.send_task("drill.add", (1, 2)).get(timeout=10) == 3
    assert app.send_task("drill.add", (1, 3)).get(timeout=10) == 4
    assert redis.get(META + ignored.id) is None


def test_many_results_find_their_callers(worker, app):
    sent = [app.send_task("drill.add", (n, n)) for n in range(300)]
    assert [result.get(timeout=20) for result in sent] == [2 * n for n in range(300)]


def test_numbers_keep_their_kind(worker, app):
    assert app.send_task("drill.tsum", ([1, 2, 3],)).get(timeout=10) == 6
    assert app.send_task("drill.add", (-(2**40), 1)).get(timeout=10) == 1 - 2**40


def test_text_survives_both_ways(worker, app):
    text = "Grüße, 世界 \U0001f332 \" \\ \n \x01"
    with pytest.raises(ValueError) as raised:
        app.send_task("drill.fail", (text,)).get(timeout=10)
    assert raised.value.args == (text,)


def test_json_that_only_python_writes_is_no_crash(worker, app):
    # NaN in the body: a number to Python, a failure to a task that wants an integer; either way there is a verdict.
    app.send_task("drill.add", (float("nan"), 1)).get(timeout=10, propagate=False)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_compressed_body_is_read(worker, app):
    assert app.send_task("drill.tsum", (list(range(1000)),), compression="gzip").get(timeout=10) == 499500


def test_another_queue_is_served_when_named(redis_worker, app):
    redis_worker("-Q", "urgent").ready()
    assert app.send_task("drill.add", (2, 3), queue="urgent").get(timeout=10) == 5


def test_broker_and_results_may_live_on_two_databases(workers, redis_server):
    from support.celery_app import make_app

    environment = {"COPPICE_BROKER_URL": redis_server.url(1), "COPPICE_RESULT_BACKEND": redis_server.url(2)}
    workers(environment=environment).ready()
    app = make_app(redis_server.url(1), redis_server.url(2))
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()
    with redis_server.client(db=2) as stored:
        assert [json.loads(stored.get(key))["status"] for key in stored.scan_iter(META + "*")] == ["SUCCESS"]


def test_results_may_live_on_another_server(workers, redis_server, own_redis):
    from support.celery_app import make_app

    other = own_redis()
    workers(environment={"COPPICE_BROKER_URL": redis_server.url(), "COPPICE_RESULT_BACKEND": other.url()}).ready()
    app = make_app(redis_server.url(), other.url())
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()
