"""`coppice queues`, `queues move` and `purge`, on every broker: what a person does to queues while others work on them."""

import json
import os
import pty
import signal
import subprocess
import time

import pytest

from support import COPPICE
from support.waiting import until


# AMQP does not tell what is held and what waits in the delay queues; see test_queue_commands_rabbitmq.
COUNTED = pytest.mark.parametrize("broker", ["redis", "sqlite"], indirect=True)


def state(command, *names):
    done = command.run("queues", *names, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["v"] == 1
    return {queue["name"]: queue for queue in told["queues"]}


def fill(command, queue, count=3, *options):
    return [command.call("drill.add", n, 1, options=("--queue", queue, *options)) for n in range(count)]


@COUNTED
def test_a_table_of_what_waits_and_what_is_parked(any_worker, broker):
    any_worker().ready()
    fill(broker.command, "side")
    parked = broker.command.call("drill.add", 1, 1, options=("--countdown", "60"))
    until(lambda: state(broker.command).get("celery", {}).get("parked") == 1, what="the task to be parked")
    queues = state(broker.command)
    assert queues["side"]["waiting"] == 3 and queues["side"]["parked"] == 0 and queues["side"]["unacknowledged"] == 0
    assert queues["celery"]["waiting"] == 0 and queues["celery"]["unacknowledged"] == 0
    assert 0 <= queues["side"]["oldest_seconds"] < 30 and queues["celery"]["oldest_seconds"] is None
    shown = broker.command.run("queues")
    heading, *rows = shown.stdout.splitlines()
    assert heading.split() == ["QUEUE", "WAITING", "UNACKED", "PARKED", "OLDEST", "CONSUMERS"]
    assert ["side", "3", "0", "0"] in [row.split()[:4] for row in rows]
    assert parked


@COUNTED
def test_what_a_node_has_in_hand_is_unacknowledged(any_worker, broker):
    worker = any_worker(concurrency=1).ready()
    for _ in range(3):
        broker.command.call("drill.sleep", 5)
    until(lambda: len(worker.log.find("received")) == 3, what="all to be taken")
    # One runs and is acknowledged early; the others are in the node's hands.
    until(lambda: state(broker.command, "celery")["celery"]["unacknowledged"] == 2, what=lambda: str(state(broker.command, "celery")))
    assert state(broker.command, "celery")["celery"]["waiting"] == 0


@COUNTED
def test_queues_that_are_named_are_shown_even_when_empty(broker):
    broker.command.call("drill.add", 2, 3)
    assert state(broker.command, "nobody")["nobody"]["waiting"] == 0
    assert broker.command.run("queues", 'a"b').returncode == 2


def test_what_pythons_client_sent_is_counted(redis, app, command):
    for n in range(4):
        app.send_task("proj.add", (n, 1), queue="py", priority=n * 3)
    queue = state(command)["py"]
    assert queue["waiting"] == 4 and queue["oldest_seconds"] is None


def test_what_a_python_worker_holds_is_counted(redis, command):
    redis.hset("unacked", "tag-1", '[{"body": "x"}, "", "celery"]')
    redis.zadd("unacked_index", {"tag-1": time.time()})
    assert state(command, "celery")["celery"]["unacknowledged"] == 1


def test_purge_wants_a_yes_where_nobody_can_be_asked(broker):
    fill(broker.command, "side")
    done = broker.command.run("purge", "side")
    assert done.returncode == 2 and "--yes" in done.stderr
    assert state(broker.command, "side")["side"]["waiting"] == 3


@COUNTED
def test_purge_removes_what_waits_and_what_is_parked(any_worker, broker):
    worker = any_worker("-Q", "side").ready()
    parked = fill(broker.command, "side", 2, "--countdown", "60")
    until(lambda: state(broker.command, "side")["side"]["parked"] == 2, what="the tasks to be parked")
    worker.stop()
    fill(broker.command, "side")
    fill(broker.command, "other", 1)
    done = broker.command.run("purge", "side", "empty", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["5 messages purged from side (2 of them parked)", "0 messages purged from empty"]
    queues = state(broker.command, "side", "other")
    assert (queues["side"]["waiting"], queues["side"]["parked"]) == (0, 0) and queues["other"]["waiting"] == 1
    assert parked


def test_purge_removes_what_waits(broker):
    fill(broker.command, "side")
    assert broker.command.run("purge", "side", "--yes").stdout == "3 messages purged from side\n"
    assert state(broker.command, "side")["side"]["waiting"] == 0


@pytest.mark.parametrize("answer, left, code", [("y", 0, 0), ("n", 3, 1), ("", 3, 1)])
def test_purge_asks_on_a_terminal(broker, answer, left, code):
    fill(broker.command, "side")
    master, slave = pty.openpty()
    purge = subprocess.Popen(
        [COPPICE, "purge", "side"], env=broker.command.environment, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    os.write(master, answer.encode() + b"\n")
    out, err = purge.communicate(timeout=20)
    os.close(slave)
    os.close(master)
    assert purge.returncode == code, err
    assert b"side: 3 waiting" in err and b"[y/N]" in err
    assert state(broker.command, "side")["side"]["waiting"] == left


def test_moved_messages_run_where_they_were_moved_to(any_worker, broker):
    sent = fill(broker.command, "from", 5)
    done = broker.command.run("queues", "move", "from", "to", "--count", "3")
    assert done.stdout == "3 messages moved from from to to\n"
    queues = state(broker.command, "from", "to")
    assert (queues["from"]["waiting"], queues["to"]["waiting"]) == (2, 3)
    any_worker("-Q", "to").ready()
    # The oldest went first.
    assert [broker.command.result(id) for id in sent[:3]] == [1, 2, 3]
    assert state(broker.command, "from")["from"]["waiting"] == 2


@COUNTED
def test_parked_messages_are_moved_with_their_time(any_worker, broker):
    worker = any_worker("-Q", "from").ready()
    sent = broker.command.call("drill.add", 2, 3, options=("--queue", "from", "--countdown", "6"))
    until(lambda: state(broker.command, "from")["from"]["parked"] == 1, what="the task to be parked")
    worker.stop()
    assert broker.command.run("queues", "move", "from", "to").stdout == "1 message moved from from to to\n"
    assert state(broker.command, "to")["to"]["parked"] == 1 and state(broker.command, "from")["from"]["parked"] == 0
    if broker.kind == "sqlite":
        assert "from" not in state(broker.command)
    any_worker("-Q", "to").ready()
    assert broker.command.result(sent) == 5


def test_priorities_are_kept(redis, app, command):
    for priority in (9, 0, 6, 3):
        app.send_task("proj.add", (priority, 1), queue="from", priority=priority)
    assert command.run("queues", "move", "from", "to").returncode == 0
    for step, key in ((0, "to"), (3, "to\x06\x163"), (6, "to\x06\x166"), (9, "to\x06\x169")):
        assert redis.llen(key) == 1
        assert json.loads(redis.lindex(key, 0))["properties"]["priority"] == step


def test_a_wrong_move_is_refused(broker):
    for arguments in (["move", "a", "a"], ["move", "a", "b", "--count", "0"], ["move", "a", 'b"']):
        done = broker.command.run("queues", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)


def test_a_key_of_another_kind_moves_nothing(redis, command):
    fill(command, "from")
    redis.set("to", "no list")
    done = command.run("queues", "move", "from", "to")
    assert done.returncode == 69 and "WRONGTYPE" in done.stderr
    assert redis.llen("from") == 3


def test_a_move_that_is_killed_loses_and_doubles_nothing(redis, command):
    """Killed at any instant: every message stands in one of the two queues, once."""
    total = 60_000
    for start in range(0, total, 5000):
        redis.lpush("from", *[json.dumps({"n": n, "pad": "x" * 200}) for n in range(start, start + 5000)])
    kills = 0
    for pause in (0.02, 0.03, 0.04, 0.05, 0.06, 0.08):
        move = subprocess.Popen([COPPICE, "queues", "move", "from", "to"], env=command.environment, stdout=subprocess.DEVNULL)
        if pause == 0.02:
            until(lambda: redis.llen("to") > 0, what="the first batch", every=0)
        else:
            time.sleep(pause)
        move.send_signal(signal.SIGKILL)
        move.wait()
        kills += 0 < redis.llen("from") < total
        found = [json.loads(raw)["n"] for key in ("from", "to") for raw in redis.lrange(key, 0, -1)]
        assert len(found) == total and set(found) == set(range(total))
    assert kills
    assert command.run("queues", "move", "from", "to").returncode == 0
    # The order is the order of sending.
    assert [json.loads(raw)["n"] for raw in reversed(redis.lrange("to", 0, -1))] == list(range(total))


def test_a_broker_that_is_down_has_an_exit_code_of_its_own(command):
    for arguments in (["queues"], ["purge", "celery", "--yes"], ["queues", "move", "a", "b"], ["dead"], ["dead", "show", "x"], ["status"]):
        done = command.run(*arguments, COPPICE_BROKER_URL="redis://127.0.0.1:1/0")
        assert done.returncode == 69, (arguments, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1 and "127.0.0.1:1" in done.stderr
