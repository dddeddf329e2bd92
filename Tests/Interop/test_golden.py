"""The recorded messages of a real Celery: ours must understand what its client sent and store what its worker stores."""

import json
import re
from pathlib import Path

import pytest

from support.envelope import META
from support.waiting import until

GOLDEN = Path(__file__).parent.parent / "golden"


def load(name):
    return {message["case"]: message for message in json.loads((GOLDEN / f"{name}.json").read_text())["messages"]}


SENT, STORED = load("sent"), load("stored")
ECHO = 'TASKS["golden.add"] = lambda args, kwargs: {"args": args, "kwargs": kwargs}\n'


@pytest.fixture
def echo(redis_worker, python_worker):
    """A child that returns what it was called with."""
    return redis_worker(app=python_worker(ECHO)).ready()


@pytest.mark.parametrize("case", SENT)
def test_what_celerys_client_sent_is_understood(echo, redis, results, case):
    message = SENT[case]
    raw = message["raw"]
    id = json.loads(raw)["headers"]["id"]
    redis.lpush(message["list"], raw)
    if case.startswith("eta"):
        until(lambda: redis.hlen("unacked") == 1 and redis.llen(message["list"]) == 0, what="the task to be parked")
        [held] = redis.hvals("unacked")
        # Byte for byte: nothing was parsed and written anew.
        assert raw.encode() in held
    elif case == "expires":
        assert results.wait(id, "REVOKED")["result"]["exc_message"] == ["expired"]
    elif case == "ignored result":
        until(lambda: redis.llen("celery") == 0 and redis.hlen("unacked") == 0, what="the end of the task")
        assert redis.get(META + id) is None
    elif case == "compressed":
        # Not a task of the Python child: that the master hands it on is what counts.
        results.wait(id)
    else:
        found = results.wait(id)
        assert found["status"] == "SUCCESS", found
        if case in ("plain", "countdown", "priority"):
            assert found["result"] == {"args": [2, 3], "kwargs": {}}
        if case == "unicode":
            assert found["result"]["args"] == ["Grüße \U0001f332", "it's \"so\" \\"]
        if case == "nested":
            assert found["result"]["args"] == [[[1, [2, {"a": [None, True]}]]], {"k": {}}]
    assert redis.llen("coppice.dead") == 0


def shape(record):
    """A record's keys in order, and those of an exception."""
    inner = record["result"]
    return list(record), list(inner) if isinstance(inner, dict) else type(inner).__name__


@pytest.mark.parametrize(
    "case, task, args, options",
    [
        ("success", "drill.add", (2, 3), {}),
        ("failure", "drill.fail", ("bad",), {}),
        ("retry", "drill.retry", (1,), {}),
        ("wrong arguments", "drill.add", (1, 2, 3), {}),
        ("unknown task", "golden.none", (), {}),
        ("expired", "drill.add", (2, 3), {"expires": -5}),
        ("killed child", "drill.kill", (9,), {}),
    ],
)
def test_what_is_stored_has_the_form_of_celerys_records(worker, app, results, redis, case, task, args, options):
    sent = app.send_task(task, args, **options)
    results.wait(sent.id)
    ours = results.records[sent.id]
    theirs = [json.loads(record) for record in STORED[case]["records"]]
    assert [record["status"] for record in ours] == [record["status"] for record in theirs]
    for mine, golden in zip(ours, theirs):
        assert shape(mine) == shape(golden)
        if mine["status"] in ("FAILURE", "REVOKED"):
            for key in ("exc_type", "exc_module"):
                assert mine["result"][key] == golden["result"][key]
            # Counts and ids differ, the words do not.
            words = [re.sub(r"\d+|\w+\(\)", "#", str(part)) for part in mine["result"]["exc_message"]]
            if case in ("wrong arguments", "expired", "killed child"):
                assert words == [re.sub(r"\d+|\w+\(\)", "#", str(part)) for part in golden["result"]["exc_message"]]
        assert (mine["date_done"] is None) == (golden["date_done"] is None)
    assert abs(redis.ttl(META + sent.id) - STORED[case]["ttl"]) < 60


def test_the_recordings_are_of_the_celery_that_the_tests_use():
    import celery

    for name in ("sent", "stored", "control"):
        assert json.loads((GOLDEN / f"{name}.json").read_text())["celery"] == celery.__version__
