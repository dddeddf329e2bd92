"""A result of 50 MB: it reaches who waits for it and who asks later, and the other tasks go on meanwhile."""

import json
import threading
import time
import uuid

import pytest

from support.envelope import envelope, record, send
from support.waiting import until

SIZE = 50_000_000
TASKS = """
TASKS["big"] = lambda args, kwargs: (time.sleep(kwargs.get("pause", 0)), "x" * args[0])[1]
TASKS["add"] = lambda args, kwargs: sum(args)
"""


@pytest.fixture
def giver(redis_worker, python_worker):
    return redis_worker(app=python_worker(TASKS)).ready()


def peak(pid):
    """The most memory that a process has had, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def test_pythons_client_gets_it_while_it_waits(giver, app):
    """Redis cuts who waits (its own limit for pub/sub is 32 MB); Celery's client comes back and reads what it waits for."""
    sent = app.send_task("big", (SIZE,))
    small = app.send_task("add", (2, 3))
    assert small.get(timeout=20) == 5
    assert len(sent.get(timeout=30)) == SIZE
    # The connection that was made anew hears what follows.
    assert app.send_task("add", (2, 3)).get(timeout=20) == 5
    assert giver.running


def test_pythons_client_gets_it_when_it_asks_later(giver, app, redis):
    sent = app.send_task("big", (SIZE,))
    until(lambda: redis.strlen("celery-task-meta-" + sent.id) > SIZE, timeout=20, what="the result")
    assert len(app.AsyncResult(sent.id).get(timeout=20)) == SIZE


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "later"])
def test_our_client_gets_it(workers, python_worker, broker, waits):
    workers(app=python_worker(TASKS), environment=broker.environment).ready()
    sent = broker.command.call("big", SIZE, pause=1 if waits else 0)
    if not waits:
        assert broker.command.run("result", sent, "--timeout", "30", timeout=60).returncode == 0
    done = broker.command.run("result", sent, "--timeout", "30", timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == SIZE


def test_the_others_go_on_and_the_memory_is_bounded(giver, redis):
    """Somebody waits for each of the big ones, which is the dearest case."""
    listener = redis.pubsub()
    listener.subscribe("celery-task-meta-big")
    worst = 0.0
    send(redis, envelope("big", (SIZE,), id="big"))
    done = threading.Event()

    def wait():
        until(lambda: redis.strlen("celery-task-meta-big") > SIZE, timeout=30, what="the result")
        done.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not done.is_set():
        begun, id = time.monotonic(), str(uuid.uuid4())
        send(redis, envelope("add", (2, 3), id=id))
        until(lambda: (record(redis, id) or {}).get("status") == "SUCCESS", what="a small task", every=0.001)
        worst = max(worst, time.monotonic() - begun)
    waiter.join()
    listener.close()
    # Some 0.5 s on an idle machine: one record is one command.
    assert worst < 4, worst
    assert peak(giver.pid) < 8 * SIZE


def test_a_result_that_fits_no_frame_fails_its_task_alone(giver, app):
    sent = app.send_task("big", (101_000_000,))
    with pytest.raises(Exception, match="breaking the pipe protocol"):
        sent.get(timeout=30)
    assert app.send_task("add", (2, 3)).get(timeout=20) == 5
    assert giver.running
