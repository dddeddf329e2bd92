#!/usr/bin/env python3
"""What a reload costs: the work that was done during the whole of it, of that in the same time before; the median of five.

`make bench-reload` runs it. The exit code is 1 if it is less than nine tenths for any kind of task.
"""

import bisect
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests"))

from support import COPPICE, DRILL  # noqa: E402
from support.envelope import envelope, send  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.waiting import until  # noqa: E402
from support.worker import Worker  # noqa: E402

CHILDREN, RELOADS, LEAST = 8, 5, 0.9
# What it is like, the task, its arguments, and more of them than will be done.
KINDS = [("waits for 5 ms", "drill.sleep", (0.005,), 60_000), ("computes for 5 ms", "drill.spin", (0.005,), 25_000),
         ("does nothing", "drill.add", (1, 2), 900_000)]  # fmt: skip


class QueueLength:
    """How many messages wait, at any moment since its start: looked at each few milliseconds."""

    def __init__(self, server):
        self._server = server
        self._samples = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        with self._server.client() as client:
            while not self._ended.wait(0.004):
                self._samples.append((time.monotonic(), client.llen("celery")))

    def stop(self):
        self._ended.set()
        self._thread.join()

    def at(self, moment):
        index = min(max(bisect.bisect(self._samples, (moment,)), 1), len(self._samples) - 1)
        (early, before), (late, after) = self._samples[index - 1 : index + 1]
        return before + (after - before) * (moment - early) / (late - early)


def reloads(folder, server, task, arguments, count):
    """[(share, seconds)] of each reload."""
    with server.client() as client:
        client.flushall()
        pipeline = client.pipeline()
        for number in range(count):
            send(pipeline, envelope(task, arguments, headers={"ignore_result": True}))
            if number % 5000 == 4999:
                pipeline.execute()
        pipeline.execute()
    pidfile = folder / "pid"
    worker = Worker(folder, "-l", "warning", "--pidfile", pidfile, app=DRILL, concurrency=CHILDREN,
                    environment={"COPPICE_BROKER_URL": server.url()}).ready()  # fmt: skip
    waiting = QueueLength(server)
    try:
        until(lambda: len(worker.children) == CHILDREN, what="all children")
        spans = []
        # The first shows how long they take, so that there is as much time before the next.
        for _ in range(1 + RELOADS):
            time.sleep(1.5 * (spans[-1][1] - spans[-1][0]) if spans else 1)
            begun = time.monotonic()
            subprocess.run([COPPICE, "reload", "--pidfile", pidfile], check=True, stdout=subprocess.DEVNULL)
            spans.append((begun, time.monotonic()))
        time.sleep(0.1)
    finally:
        waiting.stop()
        worker.stop(timeout=30)
        worker.close()
    assert waiting.at(spans[-1][1]) > 0, "the work did not last"
    done = lambda begin, end: waiting.at(begin) - waiting.at(end)  # noqa: E731
    return [(done(begin, end) / done(2 * begin - end, begin), end - begin) for begin, end in spans[1:]]


def main():
    if not COPPICE.exists():
        sys.exit(f"{COPPICE} is missing: make build")
    print(f"{CHILDREN} children on {os.cpu_count()} cores, {RELOADS} reloads each; work done during them, of that before:")
    held = True
    with tempfile.TemporaryDirectory(prefix="coppice-reload-") as name:
        server = RedisServer(Path(name) / "redis").start()
        try:
            for number, (words, task, arguments, count) in enumerate(KINDS):
                shares, seconds = zip(*reloads(Path(name) / str(number), server, task, arguments, count))
                median = statistics.median(shares)
                held = held and median >= LEAST
                print(f"  a task that {words:18} {median:.2f}   ({', '.join(f'{share:.2f}' for share in shares)}), "
                      f"{statistics.median(seconds):.2f} s a reload", flush=True)  # fmt: skip
        finally:
            server.stop()
    if not held:
        sys.exit("not held")


if __name__ == "__main__":
    main()
