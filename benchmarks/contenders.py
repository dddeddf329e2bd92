"""The two that are compared, started alike: two children, STARTED tracked, results stored, quiet logs."""

import os
import subprocess
import sys
import time
from pathlib import Path

from support import EXAMPLE, processes
from support.waiting import until
from support.worker import PLAIN, Log, Worker


class Coppice:
    name = "coppice"
    database = 0

    def __init__(self, server, folder, broker=None):
        """`server`: the Redis that keeps the results, and the messages too unless `broker` is a URL."""
        self.server, self.folder, self.broker = server, folder, broker
        self.worker = None

    def start(self, level="warning", prefetch=4):
        """Seconds from start to READY=1."""
        results = self.server.url(self.database)
        environment = {"COPPICE_BROKER_URL": self.broker or results, "COPPICE_RESULT_BACKEND": results}
        flags = ("-l", level, "--prefetch-multiplier", str(prefetch))
        self.worker = Worker(self.folder, *flags, app=EXAMPLE, concurrency=2, environment=environment)
        self.worker.ready()
        until(lambda: len(self.children()) == 2, what="two children")
        return self.worker.notify.times("READY=1")[0] - self.worker.started_at

    @property
    def pid(self):
        return self.worker.pid

    def children(self):
        return processes.children(self.pid)

    def replaced(self, victim):
        """Seconds from kill -9 of an idle child to the log's line that its successor is ready."""
        seen = len(self.worker.log.find(r"is ready"))
        killed_at = time.monotonic()
        os.kill(victim, 9)
        self.worker.log.wait(r"is ready", after=seen)
        return time.monotonic() - killed_at

    def stop(self):
        if self.worker:
            self.worker.close()


class Celery:
    name = "celery"
    database = 1

    def __init__(self, server, folder, broker=None):
        self.server, self.folder, self.broker = server, folder, broker
        self.process = None

    def start(self, level="warning", prefetch=4):
        """Seconds from start to the log's `ready.`, at the level at which it is said."""
        results = self.server.url(self.database)
        environment = PLAIN | {"BENCH_URL": self.broker or results, "BENCH_RESULTS": results, "C_FORCE_ROOT": "1", "PYTHONUNBUFFERED": "1",
                               "PYTHONPATH": str(Path(__file__).parent), "HOME": str(self.folder)}  # fmt: skip
        started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-c", "2", "-n", "celery@bench", "-l", level,
             "--prefetch-multiplier", str(prefetch)],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        self.log = Log(self.process.stdout)
        if level == "info":
            self.log.wait(r"\bready\.", timeout=60)
        elif not self.broker:
            # Quiet: it is up when it has subscribed to its mailbox.
            with self.server.client() as client:
                until(lambda: client.execute_command("PUBSUB", "NUMPAT") >= 1, timeout=60, what="Celery's worker", every=0.02)
        took = time.monotonic() - started_at
        until(lambda: len(self.children()) == 2, timeout=30, what="two children")
        return took

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        return processes.children(self.pid)

    def replaced(self, victim):
        """Seconds from kill -9 of an idle child until a new process exists: less than until it is ready, in Celery's favour."""
        before = set(self.children())
        killed_at = time.monotonic()
        os.kill(victim, 9)
        until(lambda: set(self.children()) - before, timeout=60, what="a new child", every=0.002)
        return time.monotonic() - killed_at

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                for pid in [*self.children(), self.process.pid]:
                    os.kill(pid, 9)
                self.process.wait()
