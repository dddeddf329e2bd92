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


def test_long_names_do_not_fill_the_screen(redis, command):
    record = {"v": 1, "id": "a" * 32, "reason": "no worker here has the task " + "r" * 100_000, "queue": "q" * 1000,
              "at": "2026-11-22T12:00:00.000000+00:00", "task_id": "t" * 100_000}  # fmt: skip
    redis.lpush("coppice.dead", json.dumps(record))
    table = command.run("dead").stdout
    assert max(map(len, table.splitlines())) < 500 and "no worker here has the task rrr" in table and "…" in table
    assert all(len(line) < 2100 for line in command.run("dead", "show", "a" * 32).stdout.splitlines())
    # Programs see all of it.
    [letter] = letters(command)
    assert (letter["task_id"], letter["reason"]) == (record["task_id"], record["reason"])


def test_the_limit_is_checked(command):
    assert command.run("dead", "--limit", "0").returncode == 2


# ---- retry and drop


def poisoned(broker, folder, worker, id="p"):
    """A task that has killed its child as often as one may; its path, its id and its record's."""
    path = folder / "starts"
    task = broker.command.call("drill.poison", str(path), id, 9)
    assert "3 attempts died" in broker.command.failure(task)
    [letter] = [letter for letter in letters(broker.command) if letter["task_id"] == task]
    return path, task, letter["id"]


def test_a_retried_poison_has_its_three_deaths_anew(any_worker, broker, folder):
    any_worker().ready()
    path, task, letter = poisoned(broker, folder, worker=None)
    done = broker.command.run("dead", "retry", letter)
    assert (done.returncode, done.stdout) == (0, "1 message put back\n"), done.stderr
    [again] = until(lambda: [it for it in letters(broker.command) if it["id"] != letter and it["task_id"] == task], what="the second record")
    assert len(path.read_text().splitlines()) == 6 and len(again["deaths"]) == 3


def test_a_retried_task_succeeds_and_its_failure_gives_way(any_worker, broker, python_worker):
    """An unknown task is set aside; a worker that has it runs it when it is put back."""
    worker = any_worker().ready()
    sent = broker.command.call("late.comer", 4)
    assert "NotRegistered" in broker.command.failure(sent)
    [letter] = letters(broker.command)
    worker.stop()
    any_worker(app=python_worker('TASKS["late.comer"] = lambda args, kwargs: args[0] + 1')).ready()
    assert broker.command.run("dead", "retry", letter["id"]).returncode == 0
    until(lambda: broker.command.run("result", sent, "--timeout", "0").returncode == 0, what="the result")
    assert broker.command.result(sent) == 5
    assert letters(broker.command) == []


def test_all_of_a_reason_and_queue_go_to_another_queue(any_worker, broker):
    worker = any_worker("-Q", "celery,side").ready()
    chosen = {broker.command.call("no.such.task", n, options=("--queue", "side", "--priority", "3")) for n in range(3)}
    others = {broker.command.call("no.such.task", 9), broker.command.call("other.task", 9, options=("--queue", "side"))}
    until(lambda: len(letters(broker.command)) == 5, what="the dead letters")
    assert worker.stop() == 0
    done = broker.command.run(
        "dead", "retry", "--all", "--reason", "no.such.task", "--queue", "side", "--to-queue", "third", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["v"] == 1 and len(told["done"]) == 3 and told["failed"] == []
    assert {letter["task_id"] for letter in letters(broker.command)} == others
    [third] = json.loads(broker.command.run("queues", "third", "--json").stdout)["queues"]
    assert third["waiting"] == 3
    # They are themselves: set aside once more, from there.
    any_worker("-Q", "third").ready()
    until(lambda: {it["task_id"] for it in letters(broker.command) if it["queue"] == "third"} == chosen, what="their records")


def test_dropped_is_dropped(any_worker, broker):
    worker = any_worker().ready()
    tasks = []
    for n in range(3):
        tasks.append(broker.command.call("no.such.task", n))
        until(lambda: len(letters(broker.command)) == n + 1, what="the dead letter")
    assert worker.stop() == 0
    newest = letters(broker.command)[0]["id"]
    done = broker.command.run("dead", "drop", newest, "4711")
    assert done.returncode == 1 and done.stdout == "1 message removed\n" and "4711: no such dead letter" in done.stderr
    assert [letter["task_id"] for letter in letters(broker.command)] == tasks[1::-1]
    refused = broker.command.run("dead", "drop", "--all")
    assert refused.returncode == 2 and "--yes" in refused.stderr and len(letters(broker.command)) == 2
    done = broker.command.run("dead", "drop", "--all", "--yes", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["done"]) == 2
    assert letters(broker.command) == []
    assert broker.command.run("dead", "retry", "--all").stdout == "0 messages put back\n"


def test_a_record_whose_message_made_room_is_not_put_back(worker, redis, command):
    send(redis, b"junk")
    [letter] = until(lambda: letters(command), what="the dead letter")
    redis.delete("coppice.dead.messages")
    done = command.run("dead", "retry", letter["id"], "--json")
    assert done.returncode == 1 and "its message is not kept any more" in done.stderr
    assert json.loads(done.stdout)["failed"] == [{"id": letter["id"], "reason": "its message is not kept any more"}]
    assert len(letters(command)) == 1 and redis.llen("celery") == 0
    assert command.run("dead", "retry", "--all").stdout == "0 messages put back\n"
    assert command.run("dead", "drop", letter["id"]).returncode == 0 and letters(command) == []


def test_nothing_of_the_place_is_left_on_redis(redis, worker, command):
    for n in range(3):
        send(redis, envelope("no.such.task", id=f"id-{n}"))
    until(lambda: len(letters(command)) == 3, what="the dead letters")
    assert worker.stop() == 0
    command.run("dead", "drop", letters(command)[1]["id"])
    assert command.run("dead", "retry", "--all").returncode == 0
    # The oldest first, so that it is served first.
    assert [json.loads(it)["headers"]["id"] for it in redis.lrange("celery", 0, -1)] == ["id-2", "id-0"]
    assert not redis.exists("coppice.dead", "coppice.dead.messages", "coppice.dead.order") and redis.get("coppice.dead.bytes") == b"0"


def test_the_selection_is_checked(command):
    for flags in ((), ("1", "--all"), ("1", "--reason", "x"), ("1", "--queue", "x")):
        for word in ("retry", "drop"):
            assert command.run("dead", word, *flags).returncode == 2, (word, flags)
    assert command.run("dead", "retry", "1", "--to-queue", "").returncode == 2


def test_who_is_killed_in_the_middle_loses_nothing(any_worker, broker):
    """kill -9 of the command while it puts many back: each is in the queue or at the place, and all run once in the end."""
    import signal
    import subprocess

    from support import COPPICE

    worker = any_worker().ready()
    sent = {broker.command.call("no.such.task", n) for n in range(12)}
    until(lambda: len(letters(broker.command)) == len(sent), what="the dead letters")
    assert worker.stop() == 0
    command = subprocess.Popen(
        [COPPICE, "dead", "retry", "--all", "--to-queue", "later"], env=broker.command.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until(lambda: command.poll() is not None or len(letters(broker.command)) < len(sent), every=0, what="the first one put back")
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert broker.command.run("dead", "retry", "--all", "--to-queue", "later").returncode == 0
    any_worker("-Q", "later").ready()
    until(lambda: {it["task_id"] for it in letters(broker.command)} == sent, what="all of them at the place once more")
    assert len(letters(broker.command)) == len(sent)


def test_a_full_redis_lets_them_go(own_redis):
    """Nothing can be added to it any more; what leaves the place adds nothing."""
    from support.command import Command

    server = own_redis()
    command = Command({"COPPICE_BROKER_URL": server.url()})
    with server.client() as redis:
        for id in ("a", "b"):
            message = json.dumps(envelope("drill.add", (2, 3), id=id))
            record = {"v": 1, "id": id, "reason": "x", "queue": "celery", "at": "2026-11-22T12:00:00.000000+00:00", "task_id": id, "deaths": []}
            redis.lpush("coppice.dead", json.dumps(record))
            redis.lpush("coppice.dead.order", id)
            redis.hset("coppice.dead.messages", id, message)
            redis.incrby("coppice.dead.bytes", len(message))
        redis.config_set("maxmemory", "1")
        for word, id in (("retry", "a"), ("drop", "b")):
            done = command.run("dead", word, id)
            assert done.returncode == 0, done.stderr
        assert letters(command) == [] and redis.llen("celery") == 1 and redis.get("coppice.dead.bytes") == b"0"
