"""A RabbitMQ that is there and does not do all that it is asked."""

import signal

from support.command import Command
from support.waiting import until


def test_a_retry_that_is_not_confirmed_holds_up_nothing_else(rabbitmq, workers):
    command = Command(rabbitmq.environment)
    # So many that all of them can't be in one batch, nor in the worker's hands at once.
    sent = [command.call("drill.add", n, 1) for n in range(3)]
    retried = command.call("drill.retry", 1)
    sent += [command.call("drill.add", n, 1) for n in range(3, 12)]
    rabbitmq.server.control("set_vm_memory_high_watermark", "0")
    try:
        worker = workers(environment=rabbitmq.environment, concurrency=1).ready()
        assert [command.result(task) for task in sent] == [n + 1 for n in range(12)]
        assert worker.log.find(r"retry: Retry in") and command.run("result", retried, "--timeout", 0.5).returncode == 75
    finally:
        rabbitmq.server.control("set_vm_memory_high_watermark", "0.4")
    assert command.result(retried) == 1
    # Nobody has anything in hand any more.
    until(lambda: rabbitmq.queues()["celery"] == (0, 0), what=lambda: str(rabbitmq.queues()))


def test_what_comes_while_a_master_stops_is_for_others(rabbitmq, workers):
    command = Command(rabbitmq.environment)
    stopping = workers(environment=rabbitmq.environment, concurrency=1, node="first@local").ready()
    running = command.call("drill.sleep", 30)
    until(lambda: command.run("result", running, "--timeout", 0.2).stderr.endswith("STARTED\n"), what="the start")
    stopping.signal(signal.SIGTERM)
    assert stopping.notify.wait("STOPPING=1")
    sent = [command.call("drill.add", n, 1) for n in range(3)]
    workers(environment=rabbitmq.environment, concurrency=1, node="second@local").ready()
    assert [command.result(task, timeout=5) for task in sent] == [1, 2, 3]
    assert stopping.running
