#!/usr/bin/env python3
"""What many idle children cost: the master's CPU time while nothing is to be done, and its memory for each child.

`make bench-children` runs it. The exit code is 1 if a bound is not held.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests"))

from support import COPPICE, DRILL, processes  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.waiting import until  # noqa: E402
from support.worker import Worker  # noqa: E402

# Of a core, for the master of 500; and bytes for each further child.
MOST_CPU, MOST_MEMORY = 0.01, 50_000
FEW, MANY, FURTHER = 10, 500, 500


def idle(folder, server, count, seconds):
    """(the master's private bytes, its CPU seconds a second, all children's CPU seconds a second, its wake-ups a second)"""
    worker = Worker(folder / str(count), "-l", "warning", app=DRILL, concurrency=count,
                    environment={"COPPICE_BROKER_URL": server.url()}).ready(timeout=60)  # fmt: skip
    try:
        until(lambda: [line for line in worker.notify.messages("STATUS=") if f"{count}/{count} children ready" in line],
              timeout=120, what=f"{count} children", every=0.05)  # fmt: skip
        # What a start has left to do is done: one beat of each, and the memory that spawning took is given back.
        time.sleep(3)
        children = worker.children
        assert len(children) == count, len(children)
        begun = time.monotonic()
        before = [processes.cpu_seconds(worker.pid), sum(map(processes.cpu_seconds, children)), processes.switches(worker.pid)]
        time.sleep(seconds)
        after = [processes.cpu_seconds(worker.pid), sum(map(processes.cpu_seconds, children)), processes.switches(worker.pid)]
        took = time.monotonic() - begun
        assert worker.children == children, "a child has died"
        return processes.private_memory(worker.pid), *((late - early) / took for early, late in zip(before, after))
    finally:
        worker.stop(timeout=60)
        worker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="how long the idle master is looked at")
    options = parser.parse_args()
    if not COPPICE.exists():
        sys.exit(f"{COPPICE} is missing: make build")
    with tempfile.TemporaryDirectory(prefix="coppice-many-") as name:
        folder = Path(name)
        server = RedisServer(folder / "redis").start()
        try:
            small, *_ = idle(folder, server, FEW, 1)
            large, *_ = idle(folder, server, FEW + FURTHER, 1)
            _, cpu, children, wakes = idle(folder, server, MANY, options.seconds)
        finally:
            server.stop()
    each = (large - small) / FURTHER
    print(f"{MANY} idle drill-worker children over {options.seconds:g} s on {os.cpu_count()} cores:")
    print(f"  the master's CPU      {cpu:7.2%} of a core   (bound {MOST_CPU:.0%}); it was woken {wakes:,.0f} times a second")
    print(f"  the children's CPU    {children:7.2%} of a core, all together")
    print(f"  the master's memory   {each / 1000:7.1f} KB a child   (bound {MOST_MEMORY / 1000:g} KB): "
          f"{small / 1e6:.1f} MB with {FEW}, {large / 1e6:.1f} MB with {FEW + FURTHER}")  # fmt: skip
    if cpu >= MOST_CPU or each >= MOST_MEMORY:
        sys.exit("not held")


if __name__ == "__main__":
    main()
