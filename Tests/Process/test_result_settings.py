"""What is kept of a task, and for how long."""

import json
import sqlite3
import time
import zlib

import pytest

from support.envelope import META, encode, envelope, record, send
from support.waiting import until

TASKS = """
def fail(args, kwargs):
    raise ValueError("bad")
TASKS["fail"] = fail
TASKS["add"] = lambda args, kwargs: sum(args)
TASKS["kept"] = fail
OPTIONS["kept"] = {"store_errors_even_if_ignored": True, "ignore_result": True}
TASKS["dropped"] = fail
OPTIONS["dropped"] = {"store_errors_even_if_ignored": False, "ignore_result": True}
"""


def ended(redis, worker, id):
    worker.log.wait(rf"\[{id}\] (succeeded|raised)")
    until(lambda: redis.hlen("coppice.started") == 0 and redis.hlen("unacked") == 0, what="the settlement")


def test_results_are_kept_for_so_long(workers, broker):
    workers(environment=broker.environment | {"CELERY_RESULT_EXPIRES": "2"}).ready()
    sent = broker.command.call("drill.add", 2, 3)
    assert broker.command.result(sent) == 5
    # The clock is what is tested here.
    time.sleep(2.2)
    assert broker.command.run("result", sent, "--timeout", "0.2").returncode == 75


def test_a_day_if_nothing_is_said(worker, app, redis):
    sent = app.send_task("drill.add", (2, 3))
    sent.get(timeout=10)
    assert 86390 <= redis.ttl(META + sent.id) <= 86400


def test_results_on_another_server_are_kept_for_so_long(workers, redis_server, own_redis):
    store = own_redis()
    environment = {"COPPICE_BROKER_URL": redis_server.url(), "COPPICE_RESULT_BACKEND": store.url(), "CELERY_RESULT_EXPIRES": "1000"}
    workers(environment=environment).ready()
    with redis_server.client() as queues, store.client() as kept:
        send(queues, envelope("drill.add", (2, 3), id="elsewhere"))
        until(lambda: (record(kept, "elsewhere") or {}).get("status") == "SUCCESS", what="the result")
        assert 990 <= kept.ttl(META + "elsewhere") <= 1000


@pytest.mark.parametrize("name, value", [("CELERY_RESULT_EXPIRES", "0"), ("CELERY_RESULT_EXPIRES", "soon"), ("CELERY_RESULT_EXTENDED", "maybe"),
                                         ("CELERY_STORE_ERRORS_EVEN_IF_IGNORED", "2")])  # fmt: skip
def test_a_wrong_value_is_named(redis_worker, name, value):
    worker = redis_worker(environment={name: value}).start()
    assert worker.wait() == 2
    assert name in worker.log.text


@pytest.mark.parametrize("setting, task, kept", [(None, "fail", False), ("true", "fail", True), (None, "kept", True), ("true", "dropped", False)])
def test_failures_of_ignored_results(redis_worker, python_worker, redis, setting, task, kept):
    environment = {"CELERY_STORE_ERRORS_EVEN_IF_IGNORED": setting} if setting else {}
    worker = redis_worker(app=python_worker(TASKS), environment=environment).ready()
    send(redis, envelope(task, id="failed", headers={"ignore_result": True}))
    ended(redis, worker, "failed")
    stored = record(redis, "failed")
    assert (stored is not None) == kept
    if kept:
        assert stored["status"] == "FAILURE" and stored["result"]["exc_type"] == "ValueError"
    # A success is ignored all the same.
    send(redis, envelope("add", (2, 3), id="added", headers={"ignore_result": True}))
    ended(redis, worker, "added")
    assert record(redis, "added") is None


def test_extended_records_on_the_embedded_broker(workers, folder):
    path = folder / "coppice.db"
    environment = {"COPPICE_BROKER_URL": f"sqlite:///{path}", "CELERY_RESULT_EXTENDED": "yes"}
    workers(environment=environment).ready()
    from support.command import Command

    command = Command(environment)
    sent = command.call("drill.add", 2, y=3)
    assert command.result(sent) == 5
    database = sqlite3.connect(path)
    [text] = database.execute("SELECT record FROM result WHERE task = ?", (sent,)).fetchone()
    database.close()
    stored = json.loads(text)
    assert (stored["name"], stored["args"], stored["kwargs"], stored["worker"]) == ("drill.add", [2], {"y": 3}, "test@local")


def test_a_child_that_does_not_tell_leaves_them_null(redis_worker, python_worker, redis, results):
    redis_worker(app=python_worker(TASKS), environment={"CELERY_RESULT_EXTENDED": "1"}).ready()
    send(redis, envelope("add", (2, 3), id="mute"))
    found = results.wait("mute")
    assert found["name"] == "add" and found["args"] is None and found["kwargs"] is None and found["result"] == 5


def test_a_call_out_of_turn_ends_the_child(redis_worker, python_worker, redis, results):
    rude = TASKS + """
import struct
def rude(args, kwargs):
    send(8, struct.pack(">Q", 1) + data("[]") + data("{}"))
    time.sleep(5)
TASKS["rude"] = rude
"""
    redis_worker(app=python_worker(rude), environment={"CELERY_RESULT_EXTENDED": "1"}).ready()
    send(redis, envelope("rude", id="rude"))
    assert "a call of what is not next in its hand" in results.wait("rude", "FAILURE")["result"]["exc_message"][0]


@pytest.mark.parametrize("task", ["drill.add", "drill.fail"])
def test_a_call_that_grows_too_long_is_not_told(redis_worker, redis, results, task):
    """A small message whose arguments are 35 MB in UTF-8 and three times that in ASCII, which is more than a frame has."""
    worker = redis_worker(concurrency=1, environment={"CELERY_RESULT_EXTENDED": "1"}).ready()
    pids = worker.children
    body = zlib.compress(json.dumps([["Ж" * 17_500_000], {}, {}], ensure_ascii=False).encode())
    send(redis, envelope(task, id="long", body=encode(body), headers={"compression": "application/x-gzip"}))
    found = results.wait("long", "FAILURE", timeout=40)
    assert found["args"] is None and found["result"]["exc_type"] == {"drill.add": "TypeError", "drill.fail": "ValueError"}[task]
    if task == "drill.fail":
        assert found["result"]["exc_message"] == ["what it says is too long to be told"]
    assert worker.children == pids
