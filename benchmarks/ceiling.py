"""What this Redis does for the worker's own scripts and payloads when there is nothing but Redis.

MONITOR records every script call of a worker that drains a sample. Then the same queue is laid down again in the emptied database,
and the recorded calls are sent word for word, pipelined, by redis-cli: the same scripts, arguments and batch sizes, with no worker,
no children and no waiting in between. As tags and ids are the recorded ones, every script finds what it found then.
"""

import re
import socket
import subprocess
import threading
import time
import uuid

from prefill import ID
from resp import Connection, command
from support.waiting import until

LINE = re.compile(rb'^\+\d+\.\d+ \[(\d+) ([^\]]+)\] (.*)\r?$', re.DOTALL)
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def unquote(word):
    """A word as it was, from the way MONITOR prints it."""
    def replace(match):
        code = match.group(1)
        return bytes([int(code[1:], 16)]) if code[:1] == b"x" and len(code) == 3 else PLAIN.get(code, code)

    return ESCAPE.sub(replace, word) if b"\\" in word else word


class Monitor:
    def __init__(self, port):
        self._port = port
        self._connection = Connection(port)
        self._connection.call("MONITOR")
        self._chunks = []
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while data := self._connection.socket.recv(1 << 20):
            self._chunks.append(data)

    def stop(self):
        """The calls of clients, not those inside scripts: [database, words]"""
        # Once a mark of our own has come through, so has all that was before it.
        mark = uuid.uuid4().hex.encode()
        other = Connection(self._port)
        other.call("ECHO", mark)
        other.close()
        until(lambda: mark in b"".join(self._chunks[-4:]), what="the monitor's mark")
        self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._connection.close()
        calls = []
        for line in b"".join(self._chunks).split(b"\r\n"):
            found = LINE.match(line)
            if found and found.group(2) != b"lua":
                calls.append((int(found.group(1)), [unquote(word) for word in WORD.findall(found.group(3))]))
        return calls


def record(coppice, messages, count, prefetch):
    """(queue as it was, the lease, the scripts, the calls) of a drain of `count` tasks by a worker started for it."""
    with coppice.server.client(db=coppice.database) as redis:
        redis.flushdb()
        redis.script_flush()
        monitor = Monitor(coppice.server.port)
        coppice.start(prefetch=prefetch)
        try:
            ids = messages.fill(redis, count)
            queue = redis.lrange("bench.prefilled", 0, -1)
            redis.rename("bench.prefilled", "celery")
            until(lambda: redis.llen("celery") == 0 and redis.hlen("unacked") == 0, timeout=120, what="the drain", every=0.01)
            # Without a lease a worker takes nothing.
            lease = redis.hgetall("coppice.nodes")
            until(lambda: all(record and b'"SUCCESS"' in record for record in redis.mget([ID + id for id in ids])), what="the results")
        finally:
            coppice.stop()
        calls = [words for database, words in monitor.stop() if database == coppice.database]
        scripts = [words for words in calls if words[0].upper() == b"SCRIPT" and words[1].upper() == b"LOAD"]
        # What was taken from the queue while it was empty would find it full in the replay.
        start = next(index for index, words in enumerate(calls) if words[0].upper() == b"RENAME")
        evals = [words for words in calls[start:] if words[0].upper() in (b"EVAL", b"EVALSHA", b"FCALL")]
        # Only what has to do with tasks: leases, probes and the farewell are not the drain's.
        marks = (b"celery", ID.encode())
        drained = [words for words in evals if any(mark in word for word in words[3:] for mark in marks)]
    return ids, queue, lease, scripts, drained


def replay(coppice, recorded, rounds):
    """Tasks per second of each round."""
    ids, queue, lease, scripts, calls = recorded
    stream = b"".join(command(*words) for words in calls)
    rates = []
    with coppice.server.client(db=coppice.database) as redis:
        for _ in range(rounds):
            redis.flushdb()
            redis.hset("coppice.nodes", mapping=lease)
            for words in scripts:
                redis.execute_command(*words)
            for start in range(0, len(queue), 1000):
                redis.rpush("celery", *queue[start : start + 1000])
            started_at = time.monotonic()
            done = subprocess.run(["redis-cli", "-p", str(coppice.server.port), "-n", str(coppice.database), "--pipe"],
                                  input=stream, capture_output=True)  # fmt: skip
            took = time.monotonic() - started_at
            stored = sum(record is not None and b'"SUCCESS"' in record for record in redis.mget([ID + id for id in ids]))
            if b"errors: 0" not in done.stdout or stored != len(ids):
                raise RuntimeError(f"the replay did other work than the worker: {stored} of {len(ids)} results; {done.stdout.decode()}")
            rates.append(len(ids) / took)
        redis.flushdb()
    return rates, len(calls)
