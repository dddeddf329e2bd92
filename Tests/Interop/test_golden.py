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


SENT, STORED, EXTENDED = load("sent"), load("stored"), load("extended")
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
            wanted = [re.sub(r"\d+|\w+\(\)", "#", str(part)) for part in golden["result"]["exc_message"]]
            if case in ("wrong arguments", "expired"):
                assert words == wanted
            elif case == "killed child":
                # Celery's sentence, and then what Celery does not tell.
                assert len(words) == 1 and words[0].startswith(wanted[0] + " Sent by nobody here")
        assert (mine["date_done"] is None) == (golden["date_done"] is None)
    assert abs(redis.ttl(META + sent.id) - STORED[case]["ttl"]) < 60


def stamped(app, task, args):
    from celery.canvas import StampingVisitor

    class Stamps(StampingVisitor):
        def on_signature(self, signature, **headers):
            return {"tenant": "acme", "trace": ["a", "b"], "stamped_headers": ["tenant", "trace"]}

    signature = app.signature(task, args)
    signature.stamp(Stamps())
    return signature.apply_async()


@pytest.mark.parametrize(
    "case, task, args, options",
    [
        ("success", "drill.add", (2,), {"kwargs": {"y": 3}}),
        ("failure", "drill.fail", ("bad",), {}),
        ("retry", "drill.retry", (1,), {}),
        ("wrong arguments", "drill.add", (1, 2, 3), {}),
        ("expired", "drill.add", (2, 3), {"expires": -5}),
        ("killed child", "drill.kill", (9,), {}),
        ("unknown task", "golden.none", (), {}),
        ("shadow", "drill.add", (2, 3), {"shadow": "shadowed"}),
        ("stamped", "drill.add", (2, 3), {}),
    ],
)
def test_extended_records_have_celerys_form(redis_worker, app, results, redis, case, task, args, options):
    redis_worker(environment={"CELERY_RESULT_EXTENDED": "true"}).ready()
    sent = stamped(app, task, args) if case == "stamped" else app.send_task(task, args, **options)
    results.wait(sent.id)
    ours = results.records[sent.id]
    theirs = [json.loads(record) for record in EXTENDED[case]["records"]]
    assert [record["status"] for record in ours] == [record["status"] for record in theirs]
    for mine, golden in zip(ours, theirs):
        # Stamps stand in the order of the message, which Python takes from a set.
        stamps = golden.get("stamped_headers", [])
        assert [key for key in mine if key not in stamps] == [key for key in golden if key not in stamps]
        assert sorted(mine.get("stamped_headers", [])) == sorted(stamps)
        for key in ("worker", "queue", "retries", *stamps, "name", "args", "kwargs"):
            wanted = golden.get(key)
            if key in ("worker", "name") or golden.get("name") is None:
                # Of a task that it does not know Celery's record says nothing at all.
                wanted = {"worker": "test@local", "name": task, "queue": "celery", "retries": 0}.get(key)
            if key in ("args", "kwargs"):
                # What never started was read by no child.
                wanted = None if case in ("expired", "unknown task") else {"args": list(args), "kwargs": options.get("kwargs", {})}[key]
            assert mine.get(key) == wanted, (key, mine)
    client = app.AsyncResult(sent.id)
    assert client.name == task and client.worker == "test@local" and client.queue == "celery"


def test_the_recordings_are_of_the_celery_that_the_tests_use():
    import celery

    for name in ("sent", "stored", "control", "extended"):
        assert json.loads((GOLDEN / f"{name}.json").read_text())["celery"] == celery.__version__
