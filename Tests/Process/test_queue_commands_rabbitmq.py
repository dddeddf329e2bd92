"""`coppice queues`, `queues move`, `purge`, `dead`, `revoke` and `result` where RabbitMQ differs from the other brokers."""

import json
import signal
import subprocess
import time

import amqp
import pytest

from support import COPPICE
from support.command import Command
from support.waiting import until


@pytest.fixture
def command(rabbitmq):
    return Command(rabbitmq.environment)


@pytest.fixture
def rpc(rabbitmq, folder):
    """The environment of a host whose results go over rpc://: its ledger is a file."""
    return rabbitmq.environment | {"COPPICE_RESULT_BACKEND": "rpc://", "XDG_STATE_HOME": str(folder / "state")}


@pytest.fixture
def channel(rabbitmq):
    connection = amqp.Connection(f"127.0.0.1:{rabbitmq.server.port}", virtual_host=rabbitmq.vhost, confirm_publish=True)
    connection.connect()
    yield connection.channel()
    connection.close()


def fill(channel, queue, count, arguments=None, pad=0, **properties):
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
    for n in range(count):
        message = amqp.Message(json.dumps(n) + " " * pad, content_type="application/json", application_headers={"id": f"id-{n}", "deep": {"a": [1, None]}},
                               delivery_mode=2, **properties)  # fmt: skip
        channel.basic_publish(message, routing_key=queue)


def drain(channel, queue):
    found = []
    while message := channel.basic_get(queue, no_ack=True):
        found.append(message)
    return found


def test_queues_are_shown_with_what_rabbitmq_tells(workers, rabbitmq, command, channel):
    workers("-Q", "served", environment=rabbitmq.environment).ready()
    fill(channel, "side", 3)
    done = command.run("queues", "side", "served", "--json")
    assert done.returncode == 0, done.stderr
    side, served = json.loads(done.stdout)["queues"]
    assert (side["waiting"], side["consumers"], side["missing"]) == (3, 0, False)
    assert (served["waiting"], served["consumers"]) == (0, 1)
    assert side["unacknowledged"] is None and side["parked"] is None and side["oldest_seconds"] is None


def test_a_queue_that_is_not_there_is_told_and_hides_no_other(command, channel):
    fill(channel, "side", 2)
    done = command.run("queues", "nobody", "side", "none")
    assert done.returncode == 1 and "no such queue: nobody, none" in done.stderr
    assert [row.split()[:2] for row in done.stdout.splitlines()[1:]] == [["side", "2"]]
    done = command.run("queues", "move", "nobody", "side")
    assert done.returncode == 1 and "no such queue: nobody" in done.stderr


def test_rabbitmq_names_no_queues(command):
    done = command.run("queues")
    assert done.returncode == 69 and "name them" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_move_keeps_order_words_and_priority(command, channel):
    # Three batches, the last one short.
    fill(channel, "from", 230, correlation_id="c", reply_to="r", priority=5)
    done = command.run("queues", "move", "from", "to", "--count", "220")
    assert done.stdout == "220 messages moved from from to to\n", done.stderr
    moved = drain(channel, "to")
    assert [json.loads(message.body) for message in moved] == list(range(220))
    properties = moved[7].properties
    assert properties["application_headers"] == {"id": "id-7", "deep": {"a": [1, None]}} and properties["priority"] == 5
    assert properties["correlation_id"] == "c" and properties["reply_to"] == "r" and properties["delivery_mode"] == 2
    assert [json.loads(message.body) for message in drain(channel, "from")] == list(range(220, 230))
    # The queue was made as Celery makes one: a worker of either kind can declare it.
    channel.queue_declare("to", durable=True, auto_delete=False)


def test_a_move_leaves_what_a_worker_has_in_hand(workers, rabbitmq, command, channel):
    worker = workers("-Q", "from", environment=rabbitmq.environment, concurrency=1).ready()
    running = command.call("drill.late", 4, options=("--queue", "from"))
    worker.log.wait(rf"{running}\] received")
    done = command.run("queues", "move", "from", "to")
    assert done.stdout == "0 messages moved from from to to\n", done.stderr
    assert command.result(running) in worker.children


@pytest.mark.timeout(180)
def test_a_move_that_is_killed_loses_nothing(command, channel, rabbitmq):
    """A message stands in one of the two queues, or for RabbitMQ in both: those of one batch at most."""
    total = 4000
    fill(channel, "from", total, pad=500)
    kills = 0
    # From before it is connected to well within its batches.
    for pause in (0.03, 0.06, 0.09, 0.12, 0.15):
        move = subprocess.Popen([COPPICE, "queues", "move", "from", "to"], env=command.environment, stdout=subprocess.DEVNULL)
        time.sleep(pause)
        kills += move.poll() is None
        move.send_signal(signal.SIGKILL)
        move.wait()
    until(lambda: all(held == 0 for _, held in rabbitmq.queues().values()), what="RabbitMQ to see the ends", every=0.2)
    assert kills == 5
    assert command.run("queues", "move", "from", "to", timeout=60).returncode == 0
    found = [json.loads(message.body) for message in drain(channel, "to")]
    assert set(found) == set(range(total)) and len(found) <= total + kills * 100
    assert drain(channel, "from") == []


def test_purge_removes_what_waits_there_alone(command, channel):
    fill(channel, "side", 3)
    fill(channel, "other", 1)
    done = command.run("purge", "side", "empty", "--yes")
    assert done.stdout.splitlines() == ["3 messages purged from side", "0 messages purged from empty"], done.stderr
    assert len(drain(channel, "side")) == 0 and len(drain(channel, "other")) == 1


def test_with_rpc_dead_letters_and_revocations_stand_in_the_hosts_file(workers, rpc, folder):
    command = Command(rpc)
    worker = workers(environment=rpc).ready()
    sent = command.call("no.such.task", 1)
    worker.log.wait("no.such.task")
    [letter] = until(lambda: json.loads(command.run("dead", "--json").stdout)["dead"], what="the dead letter")
    assert letter["task_id"] == sent and letter["has_message"]
    assert sent in command.run("dead", "show", letter["id"]).stdout
    assert worker.stop() == 0
    revoked = command.call("drill.ledger", str(folder / "starts"), "r", 0)
    assert command.run("revoke", revoked).returncode == 0
    worker = workers(environment=rpc).ready()
    worker.log.wait(rf"revoked task: .*{revoked}")
    assert not (folder / "starts").exists()


def test_a_result_over_rpc_is_nobody_elses(rpc):
    done = Command(rpc).run("result", "some-id", "--timeout", "1")
    assert done.returncode == 2 and "rpc://" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_rabbitmq_that_is_down_has_an_exit_code_of_its_own(command):
    for arguments in (["queues", "a"], ["purge", "celery", "--yes"], ["queues", "move", "a", "b"], ["status"]):
        done = command.run(*arguments, COPPICE_BROKER_URL="amqp://guest:hunter2@127.0.0.1:1//")
        assert done.returncode == 69, (arguments, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1 and "127.0.0.1:1" in done.stderr and "hunter2" not in done.stderr
