"""An unmodified Celery client on RabbitMQ, with its results in Redis and with rpc://; results from Swift."""

import os
import subprocess
import sys
import time

import pytest
from celery.exceptions import NotRegistered, TaskRevokedError

from support.celery_app import make_app
from support.celery_worker import CeleryWorker
from support.command import Command
from support.waiting import until


@pytest.fixture(params=["redis", "rpc"])
def backend(request, redis_server):
    return redis_server.url() if request.param == "redis" else "rpc://"


@pytest.fixture
def make_worker(workers, rabbitmq, backend):
    def make(*flags, **options):
        return workers(*flags, environment=rabbitmq.environment | {"COPPICE_RESULT_BACKEND": backend}, **options)

    return make


@pytest.fixture
def worker(make_worker):
    return make_worker().ready()


@pytest.fixture
def app(rabbitmq, backend):
    made = make_app(rabbitmq.url, backend)
    yield made
    made.close()


def test_results_find_their_callers(worker, app):
    sent = [app.send_task("drill.add", (n, n)) for n in range(300)]
    assert [result.get(timeout=20) for result in sent] == [2 * n for n in range(300)]


def test_failures_and_retries(worker, app):
    failed = app.send_task("drill.fail", ("no such ledger",))
    with pytest.raises(ValueError, match="^no such ledger$"):
        failed.get(timeout=10)
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        app.send_task("drill.add", (1, 2, 3)).get(timeout=10)
    with pytest.raises(NotRegistered, match="no.such.task"):
        app.send_task("no.such.task").get(timeout=10)
    seen = []
    retried = app.send_task("drill.retry", (2,))
    assert retried.get(timeout=20, on_message=lambda message: seen.append(message["status"])) == 2
    assert "RETRY" in seen and seen[-1] == "SUCCESS"


def test_a_countdown_is_kept(worker, app):
    for seconds in (1, 3.5):
        begun = time.time()
        assert app.send_task("drill.add", (1, 1), countdown=seconds).get(timeout=15) == 2
        assert seconds <= time.time() - begun < seconds + 1.5


def test_nothing_is_left_behind(worker, app, rabbitmq):
    for n in range(20):
        app.send_task("drill.add", (n, 1)).get(timeout=10)
    queues = until(lambda: (found := rabbitmq.queues())["celery"] == (0, 0) and found, what=lambda: f"{rabbitmq.queues()}", every=0.2)
    assert all(held == 0 for _, held in queues.values()), queues


def test_a_task_that_waits_is_revoked_before_it_runs(make_worker, app):
    make_worker(concurrency=1).ready()
    blocker = app.send_task("drill.sleep", (2,))
    waiting = app.send_task("drill.add", (1, 1))
    app.control.revoke(waiting.id, reply=True, destination=["test@local"], timeout=2)
    with pytest.raises(TaskRevokedError, match="revoked"):
        waiting.get(timeout=10)
    assert blocker.get(timeout=10) == 2


def test_a_task_that_runs_is_revoked_with_a_signal(worker, app):
    running = app.send_task("drill.sleep", (30,))
    worker.log.wait(rf"{running.id}\] received")
    app.control.revoke(running.id, terminate=True, signal="SIGKILL")
    # Though the child may have begun it without its master having heard of it yet.
    with pytest.raises(TaskRevokedError):
        running.get(timeout=15)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def celery(rabbitmq, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "celery", "-b", rabbitmq.url, *arguments],
        capture_output=True, text=True, timeout=40, env=os.environ | {"NO_COLOR": "1"})  # fmt: skip


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_celerys_own_commands_see_the_nodes(make_worker, rabbitmq):
    make_worker(node="one@local").ready()
    make_worker(node="two@local").ready()
    done = celery(rabbitmq, "status", "-t", "3")
    assert done.returncode == 0, done.stderr
    assert "one@local: OK" in done.stdout and "two@local: OK" in done.stdout and "2 nodes online" in done.stdout
    done = celery(rabbitmq, "inspect", "ping", "-d", "two@local", "-t", "5")
    assert done.returncode == 0 and "two@local: OK" in done.stdout and "pong" in done.stdout, (done.stdout, done.stderr)
    assert "one@local" not in done.stdout


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_pythons_control_api(worker, app):
    assert app.control.ping(timeout=2, destination=["test@local"]) == [{"test@local": {"ok": "pong"}}]
    assert app.control.ping(timeout=0.5, destination=["other@local"]) == []
    assert "error" in app.control.broadcast("no_such_command", reply=True, destination=["test@local"], timeout=2)[0]["test@local"]


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_our_status_shows_celerys_worker_too(make_worker, rabbitmq, redis_server, folder):
    make_worker(node="ours@local").ready()
    theirs = CeleryWorker(folder, rabbitmq.url, redis_server.url(), folder, node="theirs@local").start()
    try:
        done = Command(rabbitmq.environment).run("status")
    finally:
        theirs.close()
    assert done.returncode == 0, done.stderr
    assert "->  ours@local: OK" in done.stdout and "->  theirs@local: OK" in done.stdout and "2 nodes online." in done.stdout
    until(lambda: not [name for name in rabbitmq.queues() if "reply.celery.pidbox" in name], what="our reply queue to go", every=0.2)
