"""Revocation and ping as Python's control API and `celery` itself ask for them."""

import os
import subprocess
import sys

import pytest
from celery.exceptions import TaskRevokedError

from support import processes
from support.envelope import record
from support.flower import Flower
from support.waiting import until


def celery(redis_server, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "celery", "-b", redis_server.url(), *arguments],
        capture_output=True, text=True, timeout=30, env=os.environ | {"NO_COLOR": "1"})  # fmt: skip


def test_ping_is_answered(worker, app):
    assert app.control.ping(timeout=2, destination=["test@local"]) == [{"test@local": {"ok": "pong"}}]
    assert app.control.ping(timeout=0.5) == [{"test@local": {"ok": "pong"}}]


def test_a_ping_of_another_node_is_not_answered(worker, app):
    assert app.control.ping(timeout=0.5, destination=["other@local"]) == []


def test_two_nodes_answer_a_ping(redis_worker, app):
    redis_worker(node="one@local").ready()
    redis_worker(node="two@local").ready()
    answers = app.control.ping(timeout=2, destination=["one@local", "two@local"])
    assert {name for answer in answers for name in answer} == {"one@local", "two@local"}


def test_celery_inspect_ping_sees_the_node(worker, redis_server):
    done = celery(redis_server, "inspect", "ping", "-d", "test@local", "-t", "5")
    assert done.returncode == 0, done.stderr
    assert "test@local: OK" in done.stdout and "pong" in done.stdout


def test_celery_status_sees_the_node(worker, redis_server):
    done = celery(redis_server, "status")
    assert done.returncode == 0, done.stderr
    assert "test@local: OK" in done.stdout and "1 node online" in done.stdout


def test_an_unknown_command_is_answered_with_an_error(worker, app):
    answers = app.control.broadcast("no_such_command", reply=True, destination=["test@local"], timeout=2)
    assert "error" in answers[0]["test@local"]


def test_a_task_that_waits_is_revoked_before_it_runs(redis_worker, app, results):
    redis_worker(concurrency=1).ready()
    blocker = app.send_task("drill.sleep", (1,))
    results.wait(blocker.id, "STARTED")
    waiting = app.send_task("drill.add", (1, 1))
    app.control.revoke(waiting.id, reply=True, destination=["test@local"], timeout=2)
    with pytest.raises(TaskRevokedError, match="revoked"):
        waiting.get(timeout=10)
    assert blocker.get(timeout=10) == 1
    # Whatever was handed out after the revoked one has run.
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    results.wait(waiting.id, "REVOKED")
    assert "STARTED" not in results.statuses(waiting.id)


def test_a_revocation_is_heard_before_the_task_is_sent(worker, app, results):
    app.control.revoke("revoked-early", reply=True, destination=["test@local"], timeout=2)
    sent = app.send_task("drill.add", (1, 1), task_id="revoked-early")
    with pytest.raises(TaskRevokedError):
        sent.get(timeout=10)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_running_task_is_terminated_and_no_other_child_is_touched(redis_worker, app, results, name):
    worker = redis_worker(concurrency=2).all_ready()
    victim, bystander = app.send_task("drill.sleep", (30,)), app.send_task("drill.sleep", (2,))
    victim_pid = results.wait(victim.id, "STARTED")["result"]["pid"]
    bystander_pid = results.wait(bystander.id, "STARTED")["result"]["pid"]
    app.control.revoke(victim.id, terminate=True, signal=name)
    with pytest.raises(TaskRevokedError, match="terminated"):
        victim.get(timeout=10)
    until(lambda: not processes.alive(victim_pid), what="the victim's end")
    assert bystander.get(timeout=10) == 2
    assert processes.alive(bystander_pid)
    # The slot is filled again.
    until(lambda: len(worker.children) == 2, what="a replacement")
    assert victim.state == "REVOKED"


def test_flower_terminates_a_running_task(worker, app, results, redis_server, tmp_path):
    flower = Flower(tmp_path, redis_server.url())
    try:
        flower.start()
        sent = app.send_task("drill.sleep", (30,))
        results.wait(sent.id, "STARTED")
        # It makes a number of `true`, and passes the empty signal on.
        said = flower.post(f"api/task/revoke/{sent.id}?terminate=true&signal=")
        assert said == {"message": f"Revoked '{sent.id}'"}
        with pytest.raises(TaskRevokedError, match="terminated"):
            sent.get(timeout=10)
    finally:
        flower.stop()


def test_a_child_that_ignores_cancellation_is_terminated_too(worker, app, results):
    spinning = app.send_task("drill.spin", (30,))
    pid = results.wait(spinning.id, "STARTED")["result"]["pid"]
    app.control.revoke(spinning.id, terminate=True)
    with pytest.raises(TaskRevokedError):
        spinning.get(timeout=10)
    until(lambda: not processes.alive(pid), what="the child's end")


def test_terminate_of_a_finished_task_signals_nobody(worker, app, redis):
    worker.all_ready()
    sent = app.send_task("drill.getpid")
    sent.get(timeout=10)
    before = worker.children
    app.control.revoke(sent.id, terminate=True, signal="SIGKILL", reply=True, destination=["test@local"], timeout=2)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert worker.children == before
    assert record(redis, sent.id)["status"] == "SUCCESS"


def test_terminate_of_a_task_in_the_queue_signals_nobody(redis_worker, app, results):
    worker = redis_worker(concurrency=1).ready()
    blocker = app.send_task("drill.sleep", (1,))
    pid = results.wait(blocker.id, "STARTED")["result"]["pid"]
    waiting = app.send_task("drill.add", (1, 1))
    app.control.revoke(waiting.id, terminate=True, signal="SIGKILL", reply=True, destination=["test@local"], timeout=2)
    assert blocker.get(timeout=10) == 1
    with pytest.raises(TaskRevokedError):
        waiting.get(timeout=10)
    assert worker.children == [pid]


def test_our_command_revokes_a_waiting_task(redis_worker, app, command, results):
    redis_worker(concurrency=1).ready()
    blocker = app.send_task("drill.sleep", (1,))
    results.wait(blocker.id, "STARTED")
    waiting = app.send_task("drill.add", (1, 1))
    done = command.run("revoke", waiting.id)
    assert done.returncode == 0, done.stderr
    with pytest.raises(TaskRevokedError):
        waiting.get(timeout=10)


def test_our_command_terminates_a_running_task(worker, app, command, results):
    sent = app.send_task("drill.spin", (30,))
    pid = results.wait(sent.id, "STARTED")["result"]["pid"]
    done = command.run("revoke", sent.id, "--terminate", "--signal", "SIGKILL")
    assert done.returncode == 0, done.stderr
    with pytest.raises(TaskRevokedError, match="terminated"):
        sent.get(timeout=10)
    until(lambda: not processes.alive(pid), what="the child's end")


def test_a_malformed_control_message_is_survived(worker, app, redis):
    for text in (b"", b"not json", b"{}", b'{"body":"%%%"}', b'{"body":"e30=","properties":{}}', b"[" * 5000):
        redis.publish("/0.celery.pidbox", text)
    assert app.control.ping(timeout=2, destination=["test@local"]) == [{"test@local": {"ok": "pong"}}]


def test_an_unknown_signal_is_refused(worker, app, results):
    sent = app.send_task("drill.sleep", (2,))
    results.wait(sent.id, "STARTED")
    answers = app.control.revoke(sent.id, terminate=True, signal="SIGNOPE", reply=True, destination=["test@local"], timeout=2)
    assert "error" in answers[0]["test@local"]
    assert worker.running
