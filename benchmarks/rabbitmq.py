"""Coppice beside Celery on one RabbitMQ, results of both in one Redis, and beside what that RabbitMQ does for a consumer
in C that is given the same messages and does nothing but acknowledge them."""

import shutil
import subprocess
import time
import uuid
from pathlib import Path

import measure
from celery import Celery as CeleryClient
from contenders import Celery, Coppice
from drained import Sampler
from measure import median
from support.rabbitmq_server import RabbitMQServer
from support.redis_server import RedisServer
from support.waiting import until

QUEUE = "celery"
DEFAULT, DEEP = 4, 64


def fill(url, count):
    """Sends `count` tasks by a real client; their ids."""
    app = CeleryClient("bench", broker=url, set_as_current=False)
    ids = [str(uuid.uuid4()) for _ in range(count)]
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for id in ids:
            app.send_task("example.add", (2, 3), task_id=id, producer=producer)
        # Answered behind the last of them, and until the queue's own count has caught up.
        channel = connection.default_channel
        until(lambda: channel.queue_declare(QUEUE, passive=True).message_count == count, timeout=60, what="the full queue", every=0.05)
    return ids


def drain(contender, url, count, prefetch):
    """Tasks per second of a worker that finds `count` messages."""
    ids = fill(url, count)
    with contender.server.client(db=contender.database) as redis, Sampler(redis.dbsize) as sampler:
        try:
            contender.start(prefetch=prefetch)
            ended_at = measure.await_last(redis, ids)
        finally:
            contender.stop()
        redis.flushdb()
    return sampler.rate(count, ended_at)


class Ceiling:
    """The C program beside this file, compiled for the occasion."""

    def __init__(self, folder, port, vhost):
        self._program = folder / "rabbitmq_ceiling"
        self._port, self._vhost = port, vhost
        source = Path(__file__).parent / "rabbitmq_ceiling.c"
        subprocess.run([shutil.which("cc") or "clang", "-O2", "-o", str(self._program), str(source), "-lrabbitmq"], check=True)

    def drained(self, url, count, prefetch):
        fill(url, count)
        done = subprocess.run([str(self._program), str(self._port), self._vhost, QUEUE, str(count), str(prefetch)],
                              capture_output=True, text=True, check=True)  # fmt: skip
        return float(done.stdout)


def compare(folder, plan, say):
    """(rows of the table, {figure: value})"""
    rabbit, redis = RabbitMQServer(folder / "rabbitmq").start(), RedisServer(folder / "results").start()
    try:
        url = rabbit.url()
        both = Coppice(redis, folder / "coppice", url), Celery(redis, folder / "celery", url)
        counts = {"coppice": plan["tasks"], "celery": plan["celery_tasks"]}
        rates = {prefetch: {each.name: [] for each in both} for prefetch in (DEEP, DEFAULT)}
        tops = {prefetch: [] for prefetch in rates}
        # The first worker declares the queue.
        for each in both:
            each.start(level="info")
            each.stop()
            with redis.client(db=each.database) as client:
                client.flushdb()
        ceiling = Ceiling(folder, rabbit.port, "/")
        for prefetch in rates:
            for number in range(plan["rounds"]):
                for each in both:
                    rates[prefetch][each.name].append(drain(each, url, counts[each.name], prefetch))
                tops[prefetch].append(ceiling.drained(url, plan["tasks"], 2 * prefetch))
                latest = "  ".join(f"{name} {found[-1]:10,.0f}/s" for name, found in [*rates[prefetch].items(), ("ceiling", tops[prefetch])])
                say(f"  rabbitmq, prefetch {prefetch:2}, round {number + 1}: {latest}")
    finally:
        rabbit.stop()
        redis.stop()
    return table(rates, tops)


def table(rates, tops):
    rows, figures = [], {}
    for prefetch, found in rates.items():
        ours, theirs, top = median(found["coppice"]), median(found["celery"]), median(tops[prefetch])
        met = ours >= 20 * theirs or ours >= top / 2
        figures[prefetch] = ours / theirs
        rows.append((f"RabbitMQ: tasks per second, prefetch {prefetch} a child", f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:,.1f}×",
                     "20×, or", "met" if met else "MISSED"))  # fmt: skip
        rows.append(("… of its deliveries to C at that", f"{ours / top:.0%}", f"{theirs / top:.1%}", f"{top:,.0f}/s", "50 %",
                     "met" if met else "MISSED"))  # fmt: skip
    return rows, figures
