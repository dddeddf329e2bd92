"""A broker that goes and comes back: work goes on within a second, and what runs meanwhile is not disturbed."""

import json
import time

import pytest

from support.celery_app import make_app
from support.waiting import until

# A second, and what a busy machine and the check itself take.
WITHIN = 1.5


@pytest.fixture(params=["redis", "rabbitmq"])
def place(request, own_redis):
    """A broker that may be killed, and the Redis of the results."""
    if request.param == "redis":
        server = own_redis("--appendonly", "yes", "--appendfsync", "always")
        return server, server, {"COPPICE_BROKER_URL": server.url()}
    server, results = request.getfixturevalue("own_rabbitmq")(), own_redis()
    return server, results, {"COPPICE_BROKER_URL": server.url(), "COPPICE_RESULT_BACKEND": results.url()}


def status(results, id):
    with results.client() as client:
        text = client.get(f"celery-task-meta-{id}")
    return text and json.loads(text)["status"]


def send(server, results, id, seconds=0.0, kind="late"):
    app = make_app(server.url(), results.url())
    try:
        app.send_task(f"drill.witness.{kind}", (seconds, 0), task_id=id)
    finally:
        app.close()


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_work_goes_on_within_a_second(place, workers, ledger, how):
    server, results, environment = place
    worker = workers(*ledger.flags, environment=environment | ledger.environment).ready()
    send(server, results, "running", seconds=5)
    until(lambda: ledger.runs("running"), what="the start")
    if how == "killed":
        server.kill()
        worker.log.wait("Lost the broker")
        server.start()
    else:
        server.pause()
        # Until it is given up, so that a new connection is needed.
        worker.log.wait("Lost the broker", timeout=12)
        server.resume()
    back_at = time.monotonic()
    send(server, results, "after")
    run = until(lambda: ledger.runs("after"), timeout=10, what=lambda: "the task after\n" + worker.log.text)[0]
    assert run.start / 1e9 - back_at < WITHIN, worker.log.text
    until(lambda: status(results, "running") == "SUCCESS", timeout=12, what=lambda: "the result\n" + worker.log.text)
    assert len(ledger.runs("running")) == 1
    assert worker.notify.messages("READY=1") == ["READY=1"]
