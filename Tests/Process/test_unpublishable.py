"""What a RabbitMQ does not let be published costs the task that it belongs to, with a verdict that says why, and nobody else."""

import json
import uuid
from types import SimpleNamespace

import amqp
import pytest

from support.celery_app import make_app
from support.command import Command
from support.rabbitmq_server import RabbitMQServer
from support.waiting import until

LARGEST = 100_000
OTHERS = 60
TASKS = """
TASKS["add"] = lambda args, kwargs: sum(args)
TASKS["note"] = lambda args, kwargs: open(args[0], "a").write("x")
TASKS["big"] = lambda args, kwargs: "x" * args[0]
TASKS["big.late"] = lambda args, kwargs: (open(args[1], "a").write("x"), "x" * args[0])[1]
TASKS["note.late"] = TASKS["note"]
OPTIONS["note.late"] = OPTIONS["big.late"] = {"acks_late": True}
"""
REFUSING = {"x-max-length": 1, "x-overflow": "reject-publish"}


@pytest.fixture(scope="module")
def strict_for_all(tmp_path_factory):
    server = RabbitMQServer(tmp_path_factory.mktemp("strict"), settings=f"max_message_size = {LARGEST}\n").start()
    yield server
    server.stop()


@pytest.fixture
def strict(strict_for_all):
    """A vhost of a server that takes no large messages: .url, .queues(), .control()"""
    server, vhost = strict_for_all, f"t{uuid.uuid4().hex[:8]}"
    server.add_vhost(vhost)
    yield SimpleNamespace(port=server.port, vhost=vhost, url=server.url(vhost), queues=lambda: server.queues(vhost), control=server.control)
    server.delete_vhost(vhost)


@pytest.fixture
def channel(strict):
    connection = amqp.Connection(f"127.0.0.1:{strict.port}", virtual_host=strict.vhost, confirm_publish=True)
    connection.connect()
    yield connection.channel()
    connection.close()


@pytest.fixture
def rpc(workers, python_worker, strict):
    """Starts a worker whose results go over rpc://."""

    def make(**options):
        environment = {"COPPICE_BROKER_URL": strict.url, "COPPICE_RESULT_BACKEND": "rpc://"}
        return workers(app=python_worker(TASKS), environment=environment, **options).ready()

    return make


@pytest.fixture
def app(strict):
    made = make_app(strict.url, "rpc://")
    yield made
    made.close()


def settled(server):
    until(lambda: server.queues().get("celery") == (0, 0), what=lambda: f"all messages to be settled: {server.queues()}", every=0.2)


def fill(channel, queue):
    """A queue that takes nothing any more."""
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=REFUSING)
    channel.basic_publish(amqp.Message("first"), routing_key=queue)


def send(channel, task, args, id, **properties):
    """A call whose caller is known by `reply_to`, if at all."""
    headers = {"lang": "py", "task": task, "id": id, "retries": 0, "root_id": id, "parent_id": None, "ignore_result": False}
    message = amqp.Message(json.dumps([args, {}, {}]), content_type="application/json", content_encoding="utf-8", application_headers=headers,
                           delivery_mode=2, **properties)  # fmt: skip
    channel.basic_publish(message, routing_key="celery")


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
def test_a_result_that_is_too_large(rpc, app, strict, folder, late):
    worker = rpc()
    big = app.send_task("big.late", (3 * LARGEST, str(folder / "runs"))) if late else app.send_task("big", (3 * LARGEST,))
    sent = [app.send_task("add", (n, 1)) for n in range(OTHERS)]
    assert [result.get(timeout=20) for result in sent] == [n + 1 for n in range(OTHERS)]
    with pytest.raises(Exception, match=f"message size .* is larger than configured max size {LARGEST}"):
        big.get(timeout=20)
    settled(strict)
    assert not worker.log.find("Lost the")
    assert len(worker.log.find(f"ERROR.*{big.id}.*max size")) == 1, worker.log.text
    assert not late or (folder / "runs").read_text() == "x"


def test_a_reply_queue_that_takes_nothing(rpc, app, channel, strict):
    """So many results for it that they would fill what the worker may have in hand several times over."""
    fill(channel, "full")
    worker = rpc()
    for n in range(OTHERS):
        send(channel, "add", [n, 1], f"full-{n}", reply_to="full")
    sent = [app.send_task("add", (n, 1)) for n in range(OTHERS)]
    assert [result.get(timeout=20) for result in sent] == [n + 1 for n in range(OTHERS)]
    settled(strict)
    until(lambda: len(worker.log.find(r"ERROR.*full-\d+.*the queue full")) == OTHERS, what=lambda: worker.log.text)
    assert not worker.log.find("Lost the")


def test_a_caller_that_is_gone(rpc, app, channel, strict):
    worker = rpc()
    for n in range(5):
        send(channel, "add", [n, 1], f"gone-{n}", reply_to="nobody")
    assert app.send_task("add", (2, 3)).get(timeout=20) == 5
    settled(strict)
    # One line at once; what follows within the minute is counted for the next.
    assert len(worker.log.find(r"WARNING.*gone-\d.*nobody")) == 1, worker.log.text


def test_an_alarm_holds_up_no_settlement_that_needs_no_publication(rpc, app, channel, strict, folder):
    notes = folder / "notes"
    for queue in ("celery", "caller"):
        channel.queue_declare(queue, durable=True, auto_delete=False)
    for n in range(3):
        send(channel, "note", [str(notes)], f"early-{n}", reply_to="caller")
        send(channel, "note.late", [str(notes)], f"late-{n}", reply_to="caller")
    for n in range(12):
        send(channel, "note.late", [str(notes)], f"nobodys-{n}")
    strict.control("set_vm_memory_high_watermark", "0")
    try:
        worker = rpc(concurrency=1)
        # A late task's message stays until its result is out; all else is acknowledged.
        until(lambda: strict.queues()["celery"] == (0, 3), what=lambda: f"{strict.queues()}\n{worker.log.text}", every=0.2)
        assert notes.read_text() == "x" * 18
        assert worker.log.find("takes no results")
    finally:
        strict.control("set_vm_memory_high_watermark", "0.4")
    settled(strict)
    records = []

    def ended():
        while message := channel.basic_get("caller", no_ack=True):
            records.append(json.loads(message.body))
        return [record["task_id"] for record in records if record["status"] == "SUCCESS"]

    # Early tasks are settled with their start.
    until(lambda: len(ended()) == 6, what=lambda: str(records))
    assert sorted(ended()) == [f"{kind}-{n}" for kind in ("early", "late") for n in range(3)]
    # No state comes after the end.
    for task in ended():
        assert [record["status"] for record in records if record["task_id"] == task][-1] == "SUCCESS"


def test_a_retry_without_the_right_to_send_it(workers, strict, redis_server, redis):
    strict.control("add_user", "limited", "limited")
    strict.control("set_permissions", "-p", strict.vhost, "limited", ".*", r"^(?!amq\.default).*", ".*")
    command = Command({"COPPICE_BROKER_URL": strict.url, "COPPICE_RESULT_BACKEND": redis_server.url()})
    limited = command.environment | {"COPPICE_BROKER_URL": strict.url.replace("guest:guest", "limited:limited")}
    worker = workers(environment=limited).ready()
    retried = command.call("drill.retry", 1)
    sent = [command.call("drill.add", n, 1) for n in range(10)]
    assert [command.result(task) for task in sent] == [n + 1 for n in range(10)]
    told = command.failure(retried)
    assert "ACCESS_REFUSED" in told and "amq.default" in told, told
    dead = json.loads(redis.lindex("coppice.dead", 0))
    assert redis.llen("coppice.dead") == 1 and dead["task_id"] == retried and "ACCESS_REFUSED" in dead["reason"]
    settled(strict)
    assert not worker.log.find("Lost the"), worker.log.text
    assert len(worker.log.find(f"ERROR.*{retried}.*ACCESS_REFUSED")) == 1


def test_a_refused_password_is_said_once_however_often_it_is_tried(workers, strict, redis_server):
    strict.control("add_user", "late", "another")
    strict.control("set_permissions", "-p", strict.vhost, "late", ".*", ".*", ".*")
    url = strict.url.replace("guest:guest", "late:right")
    worker = workers(environment={"COPPICE_BROKER_URL": url, "COPPICE_RESULT_BACKEND": redis_server.url()}).start()
    worker.log.wait("refuses the user late")
    strict.control("change_password", "late", "right")
    worker.ready()
    assert len(worker.log.find("refuses the user late")) == 1, worker.log.text
