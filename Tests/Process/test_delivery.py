"""Taking, holding and settling, as Redis shows them."""

import json

import pytest

from support.envelope import envelope, record, send
from support.waiting import until


def kombus_keys(redis):
    return redis.llen("celery"), redis.hlen("unacked"), redis.zcard("unacked_index")


def test_an_early_task_is_acknowledged_when_it_starts(worker, app, results, redis):
    sent = app.send_task("drill.sleep", (1,))
    results.wait(sent.id, "STARTED")
    assert kombus_keys(redis) == (0, 0, 0)
    results.wait(sent.id, "SUCCESS")
    assert kombus_keys(redis) == (0, 0, 0)


def test_a_late_task_is_acknowledged_with_its_result(worker, app, results, redis):
    sent = app.send_task("drill.late", (1,))
    results.wait(sent.id, "STARTED")
    assert kombus_keys(redis) == (0, 1, 1)
    results.wait(sent.id, "SUCCESS")
    # One script stores, publishes and acknowledges: nobody can see the one without the other.
    assert kombus_keys(redis) == (0, 0, 0)


def test_what_is_held_can_be_restored_by_pythons_workers(worker, app, results, redis):
    """kombu's form: [envelope, exchange, routing key] under a tag that the index knows too."""
    sent = app.send_task("drill.late", (1,))
    results.wait(sent.id, "STARTED")
    [(tag, held)] = redis.hgetall("unacked").items()
    message, exchange, routing_key = json.loads(held)
    assert message["headers"]["id"] == sent.id and exchange == "" and routing_key == "celery"
    assert redis.zscore("unacked_index", tag) is not None
    sent.get(timeout=10)


def test_a_lease_is_renewed_while_work_goes_on(worker, app, results, redis):
    sent = app.send_task("drill.late", (5,))
    results.wait(sent.id, "STARTED")
    [(tag, score)] = redis.zrange("unacked_index", 0, -1, withscores=True)
    until(lambda: (redis.zscore("unacked_index", tag) or 0) > score + 1, timeout=4, what="a newer score")


def test_a_parked_task_is_in_kombus_hash_with_its_time_as_score(worker, app, redis):
    import time

    due = time.time() + 60
    sent = app.send_task("drill.add", (1, 1), countdown=60)
    until(lambda: redis.zcard("coppice.parked.celery") == 1, what="the task to be parked")
    assert kombus_keys(redis) == (0, 1, 1)
    [(tag, score)] = redis.zrange("unacked_index", 0, -1, withscores=True)
    assert abs(score - due) < 2
    assert json.loads(redis.hget("unacked", tag))[0]["headers"]["id"] == sent.id
    assert record(redis, sent.id) is None


def test_parked_tasks_do_not_fill_the_window(redis_worker, app):
    redis_worker(concurrency=1).ready()
    for _ in range(50):
        app.send_task("drill.add", (1, 1), countdown=60)
    assert app.send_task("drill.add", (2, 3)).get(timeout=5) == 5


def ledger_order(path):
    return [line.split()[0] for line in path.read_text().splitlines()]


def test_a_more_urgent_priority_goes_first(redis_worker, redis, folder, results):
    """On Redis 0 is the most urgent."""
    ledger = folder / "ledger"
    for priority in (9, 6, 3, 0):
        for n in range(2):
            send(redis, envelope("drill.ledger", (str(ledger), f"{priority}.{n}", 0), id=f"{priority}.{n}", priority=priority), priority=priority)
    redis_worker(concurrency=1).ready()
    for priority in (9, 6, 3, 0):
        for n in range(2):
            results.wait(f"{priority}.{n}", "SUCCESS")
    assert ledger_order(ledger) == [f"{priority}.{n}" for priority in (0, 3, 6, 9) for n in range(2)]


def test_within_a_priority_first_come_is_first_served(redis_worker, redis, folder, results):
    ledger = folder / "ledger"
    for n in range(40):
        send(redis, envelope("drill.ledger", (str(ledger), str(n), 0), id=f"t{n}"))
    redis_worker(concurrency=1).ready()
    for n in range(40):
        results.wait(f"t{n}", "SUCCESS")
    assert ledger_order(ledger) == [str(n) for n in range(40)]


def test_queues_take_turns(redis_worker, redis, folder, results):
    ledger = folder / "ledger"
    window = 4
    for queue in ("a", "b"):
        for n in range(24):
            send(redis, envelope("drill.ledger", (str(ledger), f"{queue}.{n}", 0), id=f"{queue}.{n}", queue=queue), queue)
    redis_worker("-Q", "a,b", "--prefetch-multiplier", window, concurrency=1).ready()
    for queue in ("a", "b"):
        for n in range(24):
            results.wait(f"{queue}.{n}", "SUCCESS")
    lead = 0
    for id in ledger_order(ledger):
        lead += 1 if id.startswith("a") else -1
        # Neither gets further ahead than one window.
        assert abs(lead) <= window, ledger_order(ledger)


def test_a_queue_that_is_not_ours_is_left_alone(redis_worker, redis, app):
    redis_worker("-Q", "ours").ready()
    theirs = envelope("drill.add", (1, 1), queue="theirs")
    send(redis, theirs, "theirs")
    assert app.send_task("drill.add", (2, 3), queue="ours").get(timeout=10) == 5
    assert redis.llen("theirs") == 1


def test_long_tasks_do_not_hold_up_short_ones_behind_them(redis_worker, app, results):
    """What was written ahead to a child whose task turns out long is handed to another."""
    redis_worker(concurrency=2).all_ready()
    for _ in range(40):
        app.send_task("drill.add", (1, 1))
    long = app.send_task("drill.sleep", (5,))
    short = [app.send_task("drill.add", (n, 1)) for n in range(30)]
    assert [task.get(timeout=4) for task in short] == [n + 1 for n in range(30)]
    results.wait(long.id, "STARTED")
    assert "SUCCESS" not in results.statuses(long.id)


def test_two_nodes_run_each_task_once(redis_worker, app, folder):
    ledger = folder / "ledger"
    redis_worker(node="one@local").ready()
    redis_worker(node="two@local").ready()
    sent = [app.send_task("drill.ledger", (str(ledger), str(n), 0)) for n in range(200)]
    for task in sent:
        task.get(timeout=20)
    assert sorted(map(int, ledger_order(ledger))) == list(range(200))


def test_a_python_worker_may_share_the_broker(redis_worker, app, redis, results):
    """A held, late task of ours survives a Python worker's start and its restoring sweep."""
    redis_worker(concurrency=1).ready()
    sent = app.send_task("drill.late", (2,))
    first = results.wait(sent.id, "STARTED")["result"]["pid"]
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.visibility_timeout = 3600
        channel.qos.restore_visible()
    assert sent.get(timeout=10) == first


@pytest.mark.slow
def test_a_hundred_thousand_tasks_leave_nothing_behind(redis_worker, redis):
    redis_worker().ready()
    base = 5000
    for _ in range(20):
        with redis.pipeline(transaction=False) as pipe:
            for n in range(base):
                pipe.lpush("celery", json.dumps(envelope("drill.add", (n, 1), headers={"ignore_result": True})))
            pipe.execute()
        until(lambda: kombus_keys(redis) == (0, 0, 0), timeout=60, what="an empty queue")
    left = [key for key in redis.keys("*") if not key.startswith(b"_kombu")]
    assert len(left) < 20, left[:40]
