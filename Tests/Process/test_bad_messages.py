"""What can't be run is kept aside with its reason; the worker lives and the next task runs."""

import base64
import bz2
import json
import pickle
import random
import sqlite3
import zlib
from types import SimpleNamespace

import pytest
from support.command import Command
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
    "random bytes": random.Random(7).randbytes(4096),
    "terminal escapes": b"\x1b]0;owned\x07\x1b[2J",
    "a body that is not base64": bad(body="%%% not base64 %%%"),
    "half a body": bad(body=encode([[2, 3], {}, {}])[:-3]),
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
    "an eta beyond the last year": bad(headers={"eta": "9999-12-31T23:59:59-12:00"}),
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
def test_it_is_kept_aside_and_the_next_task_runs(worker, app, redis, command, name):
    message = told(CASES[name])
    send(redis, message)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    until(lambda: redis.llen("coppice.dead") == 1, what=lambda: "the dead letter\n" + worker.log.text)
    kept = json.loads(redis.lindex("coppice.dead", 0))
    assert kept["v"] == 1 and kept["queue"] == "celery" and kept["reason"] and kept["at"]
    assert redis.hget("coppice.dead.messages", kept["id"]) == message
    assert redis.llen("celery") == 0 and redis.hlen("unacked") == 0
    assert worker.running
    [shown] = json.loads(command.run("dead", "--json").stdout)["dead"]
    assert (shown["id"], shown["reason"], shown["queue"], shown["has_message"]) == (kept["id"], kept["reason"], "celery", True)
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


def test_a_start_record_that_cant_be_read_gets_its_verdict(redis, redis_worker, command):
    """What remains of an early task whose node is long gone."""
    tag = "0" * 32 + ":1:0"
    redis.hset("coppice.started", tag, b"[" + told(bad(headers={"eta": "tomorrow"})) + b',"","celery"]')
    worker = redis_worker().ready()
    until(lambda: (record(redis, "bad") or {}).get("status") == "FAILURE", what=lambda: "the verdict\n" + worker.log.text)
    worker.log.wait(r"A message from celery is set aside: .* \(task bad\)")
    until(lambda: redis.llen("coppice.dead") == 1 and redis.hlen("coppice.started") == 0, what="the dead letter")


@pytest.fixture
def embedded(workers, folder):
    """A worker on a file of its own, and a way to lay into its queues what no client would."""
    path = folder / "coppice.db"
    command = Command({"COPPICE_BROKER_URL": f"sqlite:///{path}"})
    worker = workers(environment={"COPPICE_BROKER_URL": f"sqlite:///{path}"}).ready()

    def plant(raw, queue="celery"):
        file = sqlite3.connect(path, timeout=10, isolation_level=None)
        file.execute("BEGIN IMMEDIATE")
        number = file.execute("INSERT INTO message (queue, step, raw) VALUES (?, 0, ?)", (queue, raw)).lastrowid
        file.execute("INSERT INTO waiting SELECT ?1, 0, coalesce(max(place), 0) + 1, ?2 FROM waiting WHERE queue = ?1 AND step = 0", (queue, number))
        file.execute("COMMIT")
        file.close()

    def dead():
        file = sqlite3.connect(path, timeout=10)
        rows = file.execute("SELECT queue, task, reason, body FROM dead ORDER BY id").fetchall()
        file.close()
        return rows

    return SimpleNamespace(worker=worker, command=command, plant=plant, dead=dead)


def test_all_of_it_on_the_embedded_broker(embedded):
    sent = []
    for name in CASES:
        embedded.plant(told(CASES[name]))
        sent.append(embedded.command.call("drill.add", len(sent), 1))
    assert [embedded.command.result(id) for id in sent] == [n + 1 for n in range(len(sent))]
    rows = until(lambda: len(embedded.dead()) == len(CASES) and embedded.dead(), what=lambda: embedded.worker.log.text)
    assert sorted(body for *_, body in rows) == sorted(told(CASES[name]) for name in CASES)
    assert all(queue == "celery" and reason for queue, _, reason, _ in rows)
    shown = json.loads(embedded.command.run("dead", "--json").stdout)["dead"]
    assert [letter["reason"] for letter in shown] == [reason for _, _, reason, _ in reversed(rows)]
    assert "FAILURE" in embedded.command.failure("bad") and embedded.worker.running


def test_odd_ones_on_the_embedded_broker(embedded):
    for name in ODD:
        message = ODD[name]
        message = message | {"headers": message["headers"] | {"id": name}}
        embedded.plant(told(message))
    for name in ODD:
        assert embedded.command.run("result", name, "--timeout", "20").returncode in (0, 1), name
    assert embedded.worker.running


def test_100_megabytes_on_the_embedded_broker(embedded):
    embedded.plant(told(bad(body=base64.b64encode(b'[["' + b"x" * 75_000_000 + b'", 3], {}, {}]').decode())))
    assert embedded.command.result(embedded.command.call("drill.add", 2, 3), timeout=30) == 5
    [(queue, task, reason, body)] = until(embedded.dead, timeout=20, what="the dead letter")
    assert queue == "celery" and "bytes" in reason
    assert embedded.worker.running


@pytest.mark.parametrize("broker", ["redis", "sqlite"], indirect=True)
@pytest.mark.parametrize("when", ["9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59"])
def test_an_eta_in_the_year_9999_is_waited_for(any_worker, broker, request, when):
    """It is a time like another: parked, which costs no memory."""
    any_worker().ready()
    if broker.kind == "redis":
        send(request.getfixturevalue("redis"), envelope("drill.add", (2, 3), id="late", headers={"eta": when}))
    else:
        file = sqlite3.connect(broker.url.removeprefix("sqlite:///"), timeout=10)
        number = file.execute(
            "INSERT INTO message (queue, step, raw) VALUES ('celery', 0, ?)", (told(envelope("drill.add", (2, 3), id="late", headers={"eta": when})),)
        ).lastrowid
        file.execute("INSERT INTO waiting VALUES ('celery', 0, -5, ?)", (number,))
        file.commit()
        file.close()
    until(lambda: json.loads(broker.command.run("queues", "celery", "--json").stdout)["queues"][0]["parked"] == 1, what="the task to be parked")
    assert broker.command.result(broker.command.call("drill.add", 2, 3)) == 5


def test_100_megabytes_are_kept_aside(worker, app, redis):
    message = told(bad(body=base64.b64encode(b'[["' + b"x" * 75_000_000 + b'", 3], {}, {}]').decode()))
    assert len(message) > 100_000_000
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
