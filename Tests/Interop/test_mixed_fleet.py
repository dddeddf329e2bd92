"""A Python worker and Coppice with the same task names on one queue, at the same time: neither takes or restores what the other holds."""

import json
import random
import time
import uuid

import pytest

from support.celery_app import make_app
from support.celery_worker import CeleryWorker
from support.waiting import until

TASKS = 600


@pytest.fixture
def pythons(folder):
    made = []

    def make(*positional, **options):
        made.append(CeleryWorker(folder, *positional, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(params=["redis", "rabbitmq"])
def place(request, redis_server):
    """(environment of Coppice, broker's URL, how much is left there)"""
    if request.param == "redis":
        def left():
            with redis_server.client() as client:
                return client.llen("celery") + client.hlen("unacked")

        return {"COPPICE_BROKER_URL": redis_server.url()}, redis_server.url(), left
    vhost = request.getfixturevalue("rabbitmq")
    return vhost.environment, vhost.url, lambda: sum(map(sum, vhost.queues().values()))


def records(server, ids):
    with server.client() as client:
        return {id: json.loads(text) for id, text in zip(ids, client.mget([f"celery-task-meta-{id}" for id in ids])) if text}


@pytest.mark.timeout(150)
def test_under_load_with_rejections_and_restarts_each_task_ends_once(place, redis_server, workers, pythons, ledger):
    environment, url, left = place
    python = pythons(url, redis_server.url(), ledger.path, rejected=0.2).start()
    coppice = workers(*ledger.flags, environment=environment | ledger.environment).ready()
    app = make_app(url, redis_server.url())
    chance = random.Random(7)
    ids = []

    def send():
        id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        kind = chance.choice(("late", "early"))
        times = 1 if chance.random() < 0.05 else 0
        app.send_task(f"drill.witness.{kind}", (chance.choice((0, 0.01, 0.05)), times), task_id=id, ignore_result=False)
        ids.append(id)

    def both():
        return {python.pid, coppice.pid} <= {run.master for run in ledger.runs()}

    try:
        for part in range(3):
            # The one that starts faster leaves the other none of a load that does not last.
            until(lambda: send() or both(), timeout=30, every=0.02, what="a task that each has run")
            for _ in range(TASKS // 3):
                send()
            # Each restarts in the middle of it, with messages claimed and tasks running.
            if part == 0:
                stopped = python.pid
                python.stop()
                python.start()
            elif part == 1:
                assert coppice.stop() == 0
                coppice = workers(*ledger.flags, environment=environment | ledger.environment).ready()
        final = lambda: {id: each for id, each in records(redis_server, ids).items() if each["status"] in ("SUCCESS", "FAILURE")}  # noqa: E731
        until(lambda: len(final()) == len(ids), timeout=60, every=0.1,
              what=lambda: f"all results, {len(final())} are there and {left()} in the queues; open: {sorted(set(ids) - final().keys())[:5]}")  # fmt: skip
        found = final()
    finally:
        app.close()
    assert {each["status"] for each in found.values()} == {"SUCCESS"}
    until(lambda: left() == 0, timeout=15, what=lambda: f"an empty queue: {left()}", every=0.2)
    runs = ledger.runs()
    ended = {}
    for run in runs:
        ended.setdefault((run.id, run.retries), []).append(run)
    twice = [same for same in ended.values() if len(same) > 1]
    # RabbitMQ gives a message to another when Celery, as it stops, does not get to acknowledge what it has run.
    ours = [same for same in twice if "amqp" not in url or same[0].master != stopped]
    assert ours == [], f"{ours}; Celery's master that was stopped: {stopped}"
    assert {id for id, _ in ended} == set(ids)
    assert len({run.master for run in runs}) == 4


def test_a_python_worker_with_a_short_visibility_timeout_leaves_a_long_task_alone(redis_server, redis_worker, pythons, app, ledger):
    redis_worker(*ledger.flags, environment=ledger.environment, concurrency=1).ready()
    sent = [app.send_task(f"drill.witness.{kind}", (8, 0), task_id=kind) for kind in ("late", "early")]
    until(lambda: len(ledger.runs()) == 1, what="the first start")
    # It looks for what is older than five seconds each time it has polled ten times, a second each at most.
    pythons(redis_server.url(), redis_server.url(), ledger.path, options={"visibility_timeout": 5}).start()
    for task in sent:
        assert task.get(timeout=35) == 0
    restored_by = time.monotonic() + 12
    until(lambda: time.monotonic() > restored_by, timeout=13, what="the sweep's next round", every=0.1)
    assert sorted(run.id for run in ledger.runs()) == ["early", "late"]
