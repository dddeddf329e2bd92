#!/usr/bin/env python3
"""What many queues cost: the rate with 1,000 of that with 10, in one run, and what a worker of 5,000 asks Redis for while it is idle.

`make bench-queues` runs it; `--quick` is the short form. The exit code is 1 if 1,000 queues have less than half the rate of 10, or if
5,000 that are idle cost 1,000 commands a second, those of scripts included.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests"))

from support import DRILL  # noqa: E402
from support.envelope import envelope  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.waiting import until  # noqa: E402
from support.worker import Worker  # noqa: E402

FEW, MANY, MOST = 10, 1000, 5000


def names(count):
    return [f"q{number}" for number in range(count)]


def worker_of(folder, server, queues):
    return Worker(folder, "-l", "warning", "-Q", ",".join(names(queues)), "--prefetch-multiplier", "16", app=DRILL, concurrency=2,
                  environment={"COPPICE_BROKER_URL": server.url()}).ready()  # fmt: skip


def rate(folder, server, queues, tasks):
    """Tasks per second of a worker that finds them all, spread evenly, without results."""
    message = json.dumps(envelope("drill.add", (1, 2), headers={"ignore_result": True}))
    with server.client() as client:
        client.flushall()
        worker = worker_of(folder, server, queues)
        try:
            with client.pipeline() as pipeline:
                for number in range(tasks):
                    pipeline.lpush(f"q{number % queues}", message.replace('"id": "', f'"id": "{number}-', 1))
                # At once: it is one transaction.
                begun = time.monotonic()
                pipeline.execute()
            until(lambda: client.hlen("unacked") == 0 and client.exists(*names(queues)) == 0 and client.hlen("coppice.started") == 0,
                  timeout=300, what="the end", every=0.02)  # fmt: skip
            return tasks / (time.monotonic() - begun)
        finally:
            worker.close()


def idle(folder, server, queues, seconds):
    """Commands a second, those of scripts included."""

    def calls():
        return sum(command["calls"] for command in client.info("commandstats").values())

    with server.client() as client:
        client.flushall()
        worker = worker_of(folder, server, queues)
        try:
            time.sleep(1)
            before, begun = calls(), time.monotonic()
            time.sleep(seconds)
            return (calls() - before - 1) / (time.monotonic() - begun)
        finally:
            worker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run")
    quick = parser.parse_args().quick
    tasks, rounds, seconds = (5_000, 1, 3) if quick else (20_000, 3, 10)
    rates = {FEW: [], MANY: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder / "redis").start()
        try:
            for _ in range(rounds):
                for queues in rates:
                    rates[queues].append(rate(folder / "worker", server, queues, tasks))
                    print(f"{queues:5,} queues: {rates[queues][-1]:9,.0f} tasks/s", flush=True)
            asked = idle(folder / "worker", server, MOST, seconds)
        finally:
            server.stop()
    few, many = (sorted(each)[len(each) // 2] for each in rates.values())
    print(f"{MANY:,} queues have {many / few:.0%} of the rate of {FEW} (at least 50 %)")
    print(f"{MOST:,} idle queues cost {asked:,.0f} commands a second (fewer than 1,000)")
    sys.exit(0 if many >= few / 2 and asked < 1000 else 1)


if __name__ == "__main__":
    main()
