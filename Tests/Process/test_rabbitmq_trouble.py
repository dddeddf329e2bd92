"""A RabbitMQ that is there and does not do all that it is asked."""

import re
import signal
import time

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


def test_a_call_while_nothing_is_published_says_why(rabbitmq):
    command = Command(rabbitmq.environment)
    rabbitmq.server.control("set_vm_memory_high_watermark", "0")
    try:
        # The queue has to be made first, so that the message itself waits behind the alarm.
        done = command.run("call", "drill.add", "--args", "[2, 3]")
    finally:
        rabbitmq.server.control("set_vm_memory_high_watermark", "0.4")
    assert done.returncode == 69 and done.stdout == "", (done.stdout, done.stderr)
    assert "takes no publications for now (low on memory)" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_the_highest_priority_in_the_window_comes_first(rabbitmq, workers, folder):
    settings = folder / "settings.yaml"
    settings.write_text("version: 1\nqueues: {celery: {max_priority: 9}}\n")
    command = Command(rabbitmq.environment)
    worker = workers("--config", settings, "--prefetch-multiplier", 16, environment=rabbitmq.environment, concurrency=1).ready()
    running = command.call("drill.sleep", 60)
    until(lambda: command.run("result", running, "--timeout", 0.2).stderr.endswith("STARTED\n"), what="the start")
    sent = {command.call("drill.add", 2, 3, options=("--priority", priority)): priority for priority in (0, 1, 3, 5, 7, 9)}
    until(lambda: len(worker.log.find(r"drill\.add\[.*received")) == 6, what="all six in the window")
    command.run("revoke", running, "--terminate")
    for task in sent:
        command.result(task)
    done = re.findall(r"Task drill\.add\[(\S+)\] succeeded", worker.log.text)
    assert [sent[task] for task in done] == [9, 7, 5, 3, 1, 0]


def test_children_that_come_later_get_late_tasks_too(rabbitmq, workers):
    command = Command(rabbitmq.environment)
    worker = workers("--prefetch-multiplier", 1, environment=rabbitmq.environment, concurrency=1).ready()
    for _ in range(5):
        worker.signal(signal.SIGTTIN)
        time.sleep(0.05)
    sent = [command.call("drill.late", 4) for _ in range(6)]
    until(lambda: "6/6 children ready, 6 busy" in command.run("status").stdout, timeout=4, what=lambda: command.run("status").stdout, every=0.1)
    for task in sent:
        command.result(task)


def test_what_was_left_in_the_file_beside_rpc_is_told(rabbitmq, workers, folder):
    # No task of that name: a dead letter. Without a result store the ledger is the host's file.
    beside = {"COPPICE_BROKER_URL": rabbitmq.url}
    first = workers(environment=beside).ready()
    command = Command(beside | {"XDG_STATE_HOME": first.environment["XDG_STATE_HOME"]})
    command.call("no.such.task")
    first.log.wait("no worker here has the task")
    command.run("revoke", "some-id")
    until(lambda: "no.such.task" in command.run("dead").stdout, what="the dead letter")
    assert first.stop() == 0
    second = workers(environment=rabbitmq.environment).ready()
    second.log.wait(r"WARNING.*1 dead letter\(s\) and 1 revocation\(s\) stand in .*/coppice/coppice\.db")
    shown = Command(rabbitmq.environment | {"XDG_STATE_HOME": first.environment["XDG_STATE_HOME"]}).run("dead", "--result-backend", "rpc://")
    assert "no.such.task" in shown.stdout, (shown.stdout, shown.stderr)
    third = workers(environment=rabbitmq.environment | {"XDG_STATE_HOME": str(folder / "elsewhere")}, node="third@local").ready()
    assert not third.log.find("dead letter")


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
