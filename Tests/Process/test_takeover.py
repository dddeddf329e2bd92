"""A master that dies, or is stopped past its lease, and is not started again: another one sees to all that it held."""

import json
import signal
import time

import pytest

from support.waiting import until


@pytest.fixture
def nodes(any_worker, ledger):
    """Makes masters that share the test's broker and the ledger: nodes("one").ready()"""

    def make(name, **options):
        return any_worker(*ledger.flags, environment=ledger.environment, node=f"{name}@local", **options)

    return make


def begun(ledger, id, count=1, timeout=15):
    return until(lambda: len(ledger.runs(id)) >= count and ledger.runs(id), timeout=timeout, what=f"run {count} of {id}")


def test_within_ten_seconds_all_of_its_tasks_have_run_again_or_have_their_verdict(nodes, broker, ledger):
    one = nodes("one").ready()
    late = broker.command.call("drill.witness.late", 14, 0)
    early = broker.command.call("drill.witness.early", 14, 0)
    begun(ledger, late), begun(ledger, early)
    # In the dying master's hands, not begun: whatever their kind, they run.
    waiting = [broker.command.call(f"drill.witness.{kind}", 0, 0) for kind in ("late", "early") * 3]
    nodes("two", concurrency=4).ready()
    killed_at = time.monotonic()
    one.kill()
    failure = broker.command.failure(early, timeout=12)
    for task in waiting:
        assert broker.command.result(task, timeout=12) == 0
    begun(ledger, late, count=2)
    assert time.monotonic() - killed_at < 10
    assert "WorkerLostError" in failure
    assert broker.command.result(late, timeout=20) == 0
    assert len(ledger.runs(early)) == 1 and len(ledger.runs(late)) == 2
    assert all(len(ledger.runs(task)) == 1 for task in waiting)


def test_a_task_that_is_longer_than_a_lease_runs_once(nodes, broker, ledger):
    nodes("one", concurrency=1).ready()
    nodes("two", concurrency=1).ready()
    sent = [broker.command.call(f"drill.witness.{kind}", 13, 0) for kind in ("late", "early")]
    for task in sent:
        assert broker.command.result(task, timeout=25) == 0
    assert sorted(run.id for run in ledger.runs()) == sorted(sent)


@pytest.mark.timeout(120)
def test_a_master_that_was_stopped_past_its_lease_and_goes_on_overwrites_nothing(nodes, broker, ledger):
    # RabbitMQ gives its messages to nobody else until it misses the heartbeats of the connection.
    taken_over = 45 if broker.kind == "rabbitmq" else 14
    one = nodes("one").ready()
    late = broker.command.call("drill.late", 2)
    early = broker.command.call("drill.witness.early", 2, 0)
    begun(ledger, early)
    one.log.wait(rf"{late}\] received")
    children = one.children
    two = nodes("two").ready()
    one.signal(signal.SIGSTOP)
    try:
        # Its children go on, and tell their master of both outcomes in vain.
        assert broker.command.result(late, timeout=taken_over) in two.children
        failure = broker.command.failure(early, timeout=14)
    finally:
        one.signal(signal.SIGCONT)
    assert "WorkerLostError" in failure
    if broker.kind != "rabbitmq":
        one.log.wait(rf"{late}\].*void")
    # It works on, and what was stored stands.
    two.stop()
    assert broker.command.result(broker.command.call("drill.add", 2, 3)) == 5
    assert broker.command.result(late) not in children
    assert "WorkerLostError" in broker.command.failure(early)
    assert len(ledger.runs(early)) == 1
    assert one.stop() == 0


def test_a_redis_that_was_stopped_for_ten_seconds_makes_no_lease_expire(own_redis, workers, ledger):
    server = own_redis()
    environment = {"COPPICE_BROKER_URL": server.url()} | ledger.environment
    # Either may be given both tasks.
    made = [workers(*ledger.flags, environment=environment, node=f"{name}@local", concurrency=2).ready() for name in ("one", "two")]
    from support.celery_app import make_app

    app = make_app(server.url())
    sent = [app.send_task(f"drill.witness.{kind}", (16, 0)) for kind in ("late", "early")]
    for task in sent:
        begun(ledger, task.id)
    server.pause()
    paused_at = time.monotonic()
    until(lambda: time.monotonic() - paused_at > 10, what="ten seconds of silence", timeout=11, every=0.1)
    server.resume()
    with server.client() as client:
        for task in sent:
            record = until(lambda: finished(client, task.id), timeout=25, what=lambda: "the result\n" + made[0].log.text, every=0.05)
            assert record["status"] == "SUCCESS"
    assert sorted(run.id for run in ledger.runs()) == sorted(task.id for task in sent)
    assert not any(worker.log.find("of a node that died") for worker in made)
    app.close()


def finished(client, id):
    text = client.get(f"celery-task-meta-{id}")
    record = json.loads(text) if text else {"status": "PENDING"}
    return record if record["status"] in ("SUCCESS", "FAILURE") else None
