"""The figures, each taken in one way for both contenders."""

import json
import statistics
import time

from prefill import ID
from resp import Connection
from support import processes
from support.waiting import until


def final(record):
    return record is not None and json.loads(record)["status"] in ("SUCCESS", "FAILURE", "REVOKED")


def await_last(redis, ids):
    """When the last of them had its final record. To look through them all takes time that is not the worker's: the end of the line is
    looked at first, and the rest moves the time only if something of it comes later."""
    until(lambda: final(redis.get(ID + ids[-1])), timeout=600, what="the last result", every=0.02)
    ended_at = None
    for part in (ids[-500:], ids[:-500]):
        left, looks = part, 0
        while left:
            left = [id for id, record in zip(left, redis.mget([ID + id for id in left])) if not final(record)]
            looks += 1
        if ended_at is None or looks > 1:
            ended_at = time.monotonic()
    return ended_at


def drain(contender, messages, count):
    """Tasks per second.

    Both workers are up and idle. The messages lie ready in a list of another name; the clock starts as RENAME makes them the queue,
    and stops when the last of them has a final record. One GET each 20 ms, of the last message's record, is all that looks on.
    """
    with contender.server.client(db=contender.database) as redis:
        ids = messages.fill(redis, count)
        started_at = time.monotonic()
        redis.rename("bench.prefilled", "celery")
        took = await_last(redis, ids) - started_at
        wrong = [record for record in redis.mget([ID + id for id in ids]) if json.loads(record)["result"] != 5]
        assert not wrong, wrong[:3]
        redis.delete(*[ID + id for id in ids])
    return count / took


def latencies(contender, messages, count):
    """Seconds from the LPUSH of a message to an idle worker until the SUCCESS is published, as a raw client sees it."""
    port, database = contender.server.port, contender.database
    hearing, sending = Connection(port), Connection(port, database)
    found = []
    try:
        hearing.call("PSUBSCRIBE", ID + "*")
        for _ in range(count):
            id, message = messages.one()
            sent_at = time.perf_counter()
            sending.call("LPUSH", "celery", message)
            while True:
                _, _, channel, record = hearing.reply()
                if channel.endswith(id.encode()) and b'"SUCCESS"' in record:
                    break
            found.append(time.perf_counter() - sent_at)
            sending.call("DEL", ID + id)
    finally:
        hearing.close()
        sending.close()
    return found


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def memory(contender):
    """Private bytes of a child, the larger of the two."""
    return max(processes.private_memory(pid) for pid in contender.children())


def replacements(contender, count):
    """Seconds from kill -9 of an idle child to its replacement."""
    found = []
    for _ in range(count):
        until(lambda: len(contender.children()) == 2, timeout=60, what="two children")
        found.append(contender.replaced(contender.children()[0]))
    return found


median = statistics.median
