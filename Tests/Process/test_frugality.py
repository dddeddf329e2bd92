"""One thread, a constant few connections, and no system call per task that batching could save."""

import os
import shutil
import signal
import subprocess

import pytest

from support import processes
from support.envelope import envelope
from support.waiting import until


def fill(redis, count, key="prefilled"):
    """`count` messages in a list of another name: RENAME makes them appear at once."""
    import json

    with redis.pipeline(transaction=False) as pipe:
        for n in range(count):
            pipe.lpush(key, json.dumps(envelope("drill.add", (n, 1))))
        pipe.execute()


def stored(redis):
    return redis.info("keyspace").get("db0", {}).get("keys", 0)


def test_the_master_has_one_thread_whatever_it_does(worker, app, redis):
    worker.all_ready()
    assert len(processes.threads(worker.pid)) == 1
    fill(redis, 500)
    redis.rename("prefilled", "celery")
    while stored(redis) < 500:
        assert len(processes.threads(worker.pid)) == 1
    app.control.ping(timeout=0.3)
    assert len(processes.threads(worker.pid)) == 1


def test_connections_do_not_grow_with_children(redis_worker, redis, app):
    def used(count):
        worker = redis_worker(concurrency=count, node=f"n{count}@local").all_ready(count)
        # Proves that the mailbox is connected too, the last to be.
        assert app.control.ping(timeout=5, destination=[f"n{count}@local"])
        found = len([name for name in processes.descriptors(worker.pid).values() if name.startswith("socket:")])
        worker.stop()
        return found

    assert used(1) == used(6)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="the master can be traced by root alone")
def test_draining_costs_less_than_two_system_calls_a_task(redis_worker, redis, folder):
    # At the level at which a log line a task is not asked for.
    worker = redis_worker("-l", "warning").ready()
    until(lambda: len(worker.children) == 2, what="two children")
    count = 2000
    fill(redis, count)
    base = stored(redis)
    calls = folder / "calls"
    tracer = subprocess.Popen(["strace", "-p", str(worker.pid), "-o", str(calls)], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in tracer.stderr.readline()
        redis.rename("prefilled", "celery")
        until(lambda: stored(redis) >= base - 1 + count and redis.hlen("unacked") == 0, timeout=30, what="all results", every=0.05)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    lines = calls.read_text().splitlines()
    names = {}
    for line in lines:
        name = line.split("(")[0]
        names[name] = names.get(name, 0) + 1
    assert len(lines) > 20, "the tracer saw nothing"
    assert len(lines) < 2 * count, sorted(names.items(), key=lambda item: -item[1])


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="the master can be traced by root alone")
def test_an_idle_master_sleeps(worker, app, folder):
    worker.all_ready()
    app.send_task("drill.add", (2, 3)).get(timeout=10)
    calls = folder / "calls"
    tracer = subprocess.Popen(["strace", "-p", str(worker.pid), "-o", str(calls)], stderr=subprocess.PIPE, text=True)
    assert "attached" in tracer.stderr.readline()
    try:
        tracer.wait(timeout=3)
    except subprocess.TimeoutExpired:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    # Heartbeats of two children, the lease, the evidence: a few dozen calls a second, not a loop.
    assert len(calls.read_text().splitlines()) < 3 * 150


def test_no_more_is_claimed_than_the_window(redis_worker, redis, app, results):
    redis_worker("--prefetch-multiplier", 4, concurrency=2).all_ready()
    sent = [app.send_task("drill.sleep", (0.4,)) for _ in range(24)]
    results.wait(sent[0].id, "STARTED")
    # Early tasks leave `unacked` when their start is committed: there is what is claimed, and for a moment what has just started.
    worst = 0
    while redis.llen("celery"):
        worst = max(worst, redis.hlen("unacked"))
    assert 0 < worst <= 8 + 2


def test_a_second_node_gets_its_share_of_long_tasks(redis_worker, redis, app):
    redis_worker("--prefetch-multiplier", 1, node="one@local", concurrency=1).ready()
    redis_worker("--prefetch-multiplier", 1, node="two@local", concurrency=1).ready()
    sent = [app.send_task("drill.sleep", (0.3,)) for _ in range(8)]
    for task in sent:
        task.get(timeout=10)
    # Eight at 0.3 s take 1.2 s on two and 2.4 s on one.
    first, last = (app.backend.get_task_meta(task.id)["date_done"] for task in (sent[0], sent[-1]))
    from datetime import datetime

    assert (datetime.fromisoformat(str(last)) - datetime.fromisoformat(str(first))).total_seconds() < 1.8


def test_a_child_stays_small(worker, app):
    worker.all_ready()
    sent = [app.send_task("drill.add", (n, 1)) for n in range(1000)]
    for task in sent:
        task.get(timeout=20)
    for child in worker.children:
        assert processes.private_memory(child) < 3_000_000


def test_open_file_limits_are_raised_for_the_master_and_reset_for_children(redis_worker):
    worker = redis_worker(prefix=("prlimit", "--nofile=512:4096")).ready()
    soft, hard = processes.limits(worker.pid)
    assert soft == hard == 4096
    assert processes.limits(worker.children[0])[0] == 512
