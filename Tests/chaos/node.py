"""A master that is killed and started again: each life is a `coppice worker` of its own."""

import signal

from support import processes
from support.worker import Worker


class Node:
    def __init__(self, name, folder, ledger, environment, wire, concurrency, flags=()):
        """`wire`: the proxy to the broker that all its lives use, None where the broker is a file."""
        self.name, self.folder, self.wire = name, folder, wire
        self._environment = environment | {"DRILL_LEDGER": str(ledger)}
        self._concurrency = concurrency
        self._flags = ("--child-env", "DRILL_LEDGER", "--logfile", str(folder / f"{name}.log"), "-l", "info", *flags)
        self._life = None
        self.pids = []

    def start(self):
        self._life = Worker(self.folder / self.name, *self._flags, environment=self._environment,
                            concurrency=self._concurrency, node=f"{self.name}@local").start()  # fmt: skip
        self.pids.append(self._life.pid)
        return self

    @property
    def pid(self):
        return self._life.pid

    @property
    def running(self):
        return self._life is not None and self._life.running

    @property
    def children(self):
        return self._life.children

    def ready(self, timeout=60):
        self._life.ready(timeout)

    def kill(self):
        self._life.kill()
        self._life.close()

    def stop_process(self):
        self._life.signal(signal.SIGSTOP)

    def continue_process(self):
        self._life.signal(signal.SIGCONT)

    def finish(self):
        """TERM; the exit code, or how the process that does not end is."""
        try:
            return self._life.stop(timeout=30)
        except AssertionError:
            return f"{self.pid} is {processes.state(self.pid)} and does not end"

    def close(self):
        if self._life:
            self._life.close()
