"""What can't be run is kept aside with its reason; the worker lives and the next task runs."""

import base64
import bz2
import json
import pickle
import zlib

import pytest
from support.envelope import encode, envelope, record, send
from support.waiting import until


def nested(depth):
    return base64.b64encode(b"[[" + b"[" * depth + b"]" * depth + b"], {}, {}]").decode()


def without(message, *path):
    *way, last = path
    place = message
    for key in way:
        place = place[key]
    del place[last]
    return message


def bad(**options):
    return envelope("drill.add", (2, 3), id="bad", **options)


CASES = {
    "not JSON": b"this is no message",
    "empty": b"",
    "half of a message": json.dumps(bad())[:200].encode(),
    "not UTF-8": b'{"body": "\xff\xfe"}',
    "an array": b"[1, 2, 3]",
    "a body that is not base64": bad(body="%%% not base64 %%%"),
    "a body that is not JSON": bad(body=encode(b"{not json")),
    "arguments that are no array": bad(body=encode(["2, 3", {}, {}])),
    "keywords that are no object": bad(body=encode([[2, 3], [], {}])),
    "no headers": without(bad(), "headers"),
    "null headers": bad() | {"headers": None},
    "no task": without(bad(), "headers", "task"),
    "no id": without(bad(), "headers", "id"),
    "no body": without(bad(), "body"),
    "no properties": without(bad(), "properties"),
    "a pickle": bad(body=encode(pickle.dumps(([2, 3], {}, {}), protocol=2)))
    | {"content-type": "application/x-python-serialize", "content-encoding": "binary"},
    "an unknown content type": bad() | {"content-type": "application/x-nobody"},
    "an unknown compression": bad(headers={"compression": "application/x-nobody"}),
    "a broken compression": bad(headers={"compression": "application/x-gzip"}),
    "compressed by bzip2": bad(body=encode(bz2.compress(b"[[2, 3], {}, {}]")), headers={"compression": "application/x-bz2"}),
    "65 MB in 64 kB": bad(body=encode(zlib.compress(b"[[2, 3], {}, {}]" + b" " * (65 << 20))), headers={"compression": "application/x-gzip"}),
    "an eta that is no time": bad(headers={"eta": "tomorrow, perhaps"}),
    "an eta that is a number": bad(headers={"eta": 17}),
    "an expiry that is no time": bad(headers={"expires": "2026-99-99T99:99:99"}),
    "negative retries": bad(headers={"retries": -1}),
    "a task name that is a number": bad(headers={"task": 7}),
    "an id that is an object": bad(headers={"id": {"a": 1}}),
    "10,000 levels deep": bad(body=nested(10_000)),
    "headers 10,000 levels deep": json.dumps(bad()).replace('"stamps": {}', '"stamps": ' + "[" * 10_000 + "]" * 10_000).encode(),
}


# These can be made sense of: they run, and need not be kept aside, but must end in a verdict.
ODD = {
    "a body of two elements": bad(body=encode([[2, 3], {}])),
    "a body that is an object": bad(body=encode({"x": 1})),
    "a hybrid of both protocols": bad(body=encode({"args": [2, 3], "kwargs": {}})),
    "retries that are a text": bad(headers={"retries": "many"}),
    "retries that are null": bad(headers={"retries": None}),
    "limits that are null": bad(headers={"timelimit": None}),
    "a priority out of range": bad() | {"properties": bad()["properties"] | {"priority": 99}},
}


def told(message):
    return message if isinstance(message, bytes) else json.dumps(message).encode()


@pytest.mark.parametrize("name", CASES)
def test_it_is_kept_aside_and_the_next_task_runs(worker, app, redis, name):
    message = told(CASES[name])
    send(redis, message)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    until(lambda: redis.llen("coppice.dead") == 1, what=lambda: "the dead letter\n" + worker.log.text)
    kept = json.loads(redis.lindex("coppice.dead", 0))
    assert kept["v"] == 1 and kept["queue"] == "celery" and kept["reason"] and kept["at"]
    assert redis.hget("coppice.dead.messages", kept["id"]) == message
    assert redis.llen("celery") == 0 and redis.hlen("unacked") == 0
    assert worker.running
    if isinstance(CASES[name], dict) and isinstance((CASES[name].get("headers") or {}).get("id"), str):
        # Whoever waits for it is told.
        until(lambda: (record(redis, "bad") or {}).get("status") == "FAILURE", what="the verdict")
        assert kept["task_id"] == "bad"


@pytest.mark.parametrize("name", ODD)
def test_what_is_merely_odd_gets_a_verdict(worker, app, redis, results, name):
    send(redis, ODD[name])
    results.wait("bad")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert redis.llen("celery") == 0 and redis.hlen("unacked") == 0


def test_a_body_of_50_megabytes_is_kept_aside(worker, app, redis):
    message = told(bad(body=base64.b64encode(b'[["' + b"x" * 50_000_000 + b'", 3], {}, {}]').decode()))
    send(redis, message)
    assert app.send_task("drill.add", (2, 3)).get(timeout=30) == 5
    until(lambda: redis.llen("coppice.dead") == 1, timeout=20, what="the dead letter")
    kept = json.loads(redis.lindex("coppice.dead", 0))
    assert redis.hstrlen("coppice.dead.messages", kept["id"]) == len(message)
    assert worker.running


def test_a_body_just_under_the_bound_runs(worker, app, redis, results):
    send(redis, envelope("drill.tsum", id="big", body=encode(b"[[[" + b"1," * 2_000_000 + b"1]], {}, {}]")))
    assert results.wait("big", timeout=30)["result"] == 2_000_001


def test_an_unknown_task_is_kept_aside_with_its_verdict(worker, app, redis):
    message = told(envelope("no.such.task", id="unknown"))
    send(redis, message)
    until(lambda: redis.llen("coppice.dead") == 1, what="the dead letter")
    kept = json.loads(redis.lindex("coppice.dead", 0))
    assert kept["task_id"] == "unknown"
    assert redis.hget("coppice.dead.messages", kept["id"]) == message
    stored = until(lambda: record(redis, "unknown"), what="the verdict")
    assert stored["status"] == "FAILURE" and stored["result"]["exc_type"] == "NotRegistered"


def test_the_newest_dead_letter_stands_first(worker, redis):
    for name in ("first", "second", "third"):
        send(redis, envelope("no.such.task", id=name))
        until(lambda: record(redis, name), what="the verdict")
    until(lambda: redis.llen("coppice.dead") == 3, what="three dead letters")
    assert [json.loads(kept)["task_id"] for kept in redis.lrange("coppice.dead", 0, -1)] == ["third", "second", "first"]


def test_a_hundred_bad_messages_among_good_ones_cost_only_themselves(worker, app, redis):
    sent = []
    for n in range(100):
        send(redis, [b"junk", b"{}", told(bad(body="%")), b"[" * 3000][n % 4])
        sent.append(app.send_task("drill.add", (n, 1)))
    assert [result.get(timeout=20) for result in sent] == [n + 1 for n in range(100)]
    until(lambda: redis.llen("coppice.dead") == 100, what="all dead letters")
    assert redis.llen("celery") == 0 and redis.hlen("unacked") == 0


def test_a_message_with_hardly_anything_in_it_runs(worker, redis, results):
    """Celery's worker runs this too."""
    send(redis, {
        "body": encode([[2, 3], {}, {}]), "content-type": "application/json", "content-encoding": "utf-8",
        "headers": {"task": "drill.add", "id": "minimal"},
        "properties": {"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "celery"}},
    })  # fmt: skip
    assert results.wait("minimal")["result"] == 5


def test_a_body_that_is_not_in_base64_runs_when_it_says_so(worker, redis, results):
    message = envelope("drill.add", id="plain", body='[[2, 3], {}, {"callbacks": null}]')
    message["properties"]["body_encoding"] = "utf-8"
    send(redis, message)
    assert results.wait("plain")["result"] == 5


def test_two_messages_with_one_delivery_tag_both_run(worker, redis, results):
    for id in ("twin-1", "twin-2"):
        message = envelope("drill.add", (2, 3), id=id)
        message["properties"]["delivery_tag"] = "the same"
        send(redis, message)
    assert results.wait("twin-1")["result"] == results.wait("twin-2")["result"] == 5


def test_an_unknown_task_is_kept_aside_on_every_broker(any_worker, broker):
    worker = any_worker().ready()
    sent = broker.command.call("no.such.task")
    assert "NotRegistered" in broker.command.failure(sent)
    assert broker.command.result(broker.command.call("drill.add", 2, 3)) == 5
    assert worker.running
