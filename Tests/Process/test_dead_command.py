"""`coppice dead`: what could not be run, why, and where it came from."""

import json

from support.envelope import encode, envelope, send
from support.waiting import until


def letters(command, *options):
    done = command.run("dead", "--json", *options)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["v"] == 1
    return told["dead"]


def test_an_unknown_task_is_listed_and_shown(any_worker, broker):
    any_worker("-Q", "side").ready()
    sent = broker.command.call("no.such.task", 1, "Grüße", options=("--queue", "side"))
    [letter] = until(lambda: letters(broker.command), what="the dead letter")
    assert letter["queue"] == "side" and letter["task_id"] == sent and "no.such.task" in letter["reason"] and letter["has_message"]
    shown = broker.command.run("dead", "show", letter["id"])
    assert shown.returncode == 0, shown.stderr
    lines = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in shown.stdout.splitlines()}
    assert lines["id"] == letter["id"] and lines["queue"] == "side" and lines["reason"] == letter["reason"]
    assert json.loads(lines["body"])[0] == [1, "Grüße"]
    assert json.loads(lines["headers"])["id"] == sent
    table = broker.command.run("dead")
    assert table.stdout.splitlines()[0].split()[:3] == ["ID", "AT", "QUEUE"]
    assert letter["id"] in table.stdout and "no.such.task" in table.stdout


def test_the_newest_stand_first_and_are_bounded(any_worker, broker):
    any_worker().ready()
    sent = []
    for n in range(3):
        sent.append(broker.command.call("no.such.task", n))
        until(lambda: len(letters(broker.command)) == len(sent), what="the dead letter")
    assert [letter["task_id"] for letter in letters(broker.command, "--limit", "2")] == sent[:0:-1]


def test_an_id_that_is_not_there(broker):
    broker.command.call("drill.add", 2, 3)
    done = broker.command.run("dead", "show", "4711")
    assert done.returncode == 1 and "4711" in done.stderr
    assert letters(broker.command) == []


HOSTILE = b"\x1b]0;owned\x07\x1b[2J\xff\xfe\x00 text \xe2\x80\xae"


def test_hostile_bytes_never_reach_the_terminal_as_they_are(worker, redis, command):
    send(redis, HOSTILE)
    send(redis, envelope("drill.add", id="evil\x1b[31m\u202e", body=encode(HOSTILE)))
    send(redis, envelope("no.such\x1b]0;x\x07", id="id", queue="celery"))
    until(lambda: len(letters(command)) == 3, what="the dead letters")
    outputs = [command.run("dead").stdout]
    for letter in letters(command):
        outputs.append(command.run("dead", "show", letter["id"]).stdout)
    for output in outputs:
        assert all(character == "\n" or character.isprintable() for character in output), repr(output)
    assert any("\\x1b]0;owned" in output for output in outputs)


def test_the_raw_message_is_the_broker_s_bytes(worker, redis, command):
    import subprocess

    from support import COPPICE

    send(redis, HOSTILE)
    [letter] = until(lambda: letters(command), what="the dead letter")
    done = subprocess.run([COPPICE, "dead", "show", letter["id"], "--raw"], env=command.environment, capture_output=True, timeout=20)
    assert done.stdout == HOSTILE


def test_a_message_that_had_to_make_room(worker, redis, command):
    send(redis, b"junk")
    [letter] = until(lambda: letters(command), what="the dead letter")
    redis.delete("coppice.dead.messages")
    assert letters(command)[0]["has_message"] is False
    assert "not kept any more" in command.run("dead", "show", letter["id"]).stdout
    assert command.run("dead", "show", letter["id"], "--raw").returncode == 1


def test_what_else_a_record_says_is_shown(redis, command):
    record = {"v": 1, "id": "a" * 32, "reason": "died three times", "queue": "celery", "at": "2026-11-22T12:00:00.000000+00:00",
              "task_id": "t", "deaths": [{"how": "signal 9", "at": 1}]}  # fmt: skip
    redis.lpush("coppice.dead", json.dumps(record))
    assert letters(command)[0]["deaths"] == record["deaths"]
    assert '"signal 9"' in command.run("dead", "show", "a" * 32).stdout


def test_the_limit_is_checked(command):
    assert command.run("dead", "--limit", "0").returncode == 2
