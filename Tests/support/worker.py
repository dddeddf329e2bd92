"""`coppice worker` as a process: started with a real notify socket, its log collected line by line, ended by its own pid."""

import os
import re
import signal
import subprocess
import threading
import time

from . import COPPICE, DRILL, processes
from .notify_socket import NotifySocket
from .waiting import until

# What every worker starts from: nothing of the tester's own environment that could steer it.
PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}


class Log:
    """Lines from a pipe, as they come."""

    def __init__(self, stream):
        self._stream = stream
        self._told = threading.Condition()
        self._lines = []
        self._times = []
        self._ended = False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        for line in self._stream:
            with self._told:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._times.append(time.monotonic_ns())
                self._told.notify_all()
        with self._told:
            self._ended = True
            self._told.notify_all()

    @property
    def lines(self):
        with self._told:
            return list(self._lines)

    @property
    def text(self):
        return "\n".join(self.lines)

    def find(self, pattern):
        return [found for found in (re.search(pattern, line) for line in self.lines) if found]

    def times(self, pattern):
        """When such lines came, in nanoseconds of the monotonic clock."""
        with self._told:
            return [at for at, line in zip(self._times, self._lines) if re.search(pattern, line)]

    def wait(self, pattern, timeout=10.0, after=0):
        """The match of the `after`-th line (from 0) that fits; fails when the time is up or no line can follow."""
        deadline = time.monotonic() + timeout
        with self._told:
            while True:
                found = [match for match in (re.search(pattern, line) for line in self._lines) if match]
                if len(found) > after:
                    return found[after]
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(f"no line like {pattern!r} in the log:\n" + "\n".join(self._lines[-60:]))
                self._told.wait(left)

    def finish(self, timeout=10.0):
        """Waits for the pipe's end, so that `text` is all there was."""
        self._thread.join(timeout)


class Worker:
    # A method below takes the module's name.
    TERM = signal.SIGTERM

    def __init__(self, folder, *flags, app=DRILL, environment=None, prefix=(), concurrency=2, node="test@local", watchdog=None):
        self.folder = folder
        number = len(list(folder.glob("notify-*"))) if folder.exists() else 0
        folder.mkdir(parents=True, exist_ok=True)
        self.notify = NotifySocket(folder / f"notify-{number}-{time.monotonic_ns() % 10**9}")
        self.environment = PLAIN | {"NOTIFY_SOCKET": self.notify.path, "XDG_STATE_HOME": str(folder / "state")} | (environment or {})
        if watchdog:
            self.environment["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        self.command = [*map(str, prefix), str(COPPICE), "worker"]
        if app is not None:
            self.command += ["-A", str(app)]
        if concurrency is not None:
            self.command += ["-c", str(concurrency)]
        if node is not None:
            self.command += ["-n", node]
        # What the tests wait for is said at this level.
        if not {"-l", "--loglevel"} & set(flags):
            self.command += ["-l", "info"]
        self.command += [str(flag) for flag in flags]
        self.process = None
        self.log = None

    def start(self):
        """Starts it and returns at once."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)  # fmt: skip
        self.log = Log(self.process.stdout)
        return self

    def ready(self, timeout=15.0):
        """Starts it unless that has been done, and waits for READY=1."""
        if self.process is None:
            self.start()
        deadline = time.monotonic() + timeout
        while not self.notify.wait("READY=1", timeout=0.25):
            if self.process.poll() is not None:
                self.log.finish(2)
                raise AssertionError(f"the worker ended with {self.process.returncode} before READY=1:\n{self.log.text}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no READY=1 within {timeout} s:\n{self.log.text}")
        return self

    def all_ready(self, count=2):
        """READY=1 is the first child's; this waits for all of them."""
        self.ready()
        until(lambda: len(self.log.find(r"[Cc]hild \d+ \(pid \d+\) is ready")) >= count, what=lambda: "all children\n" + self.log.text)
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def children(self):
        return processes.children(self.pid)

    @property
    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=15.0):
        """The exit code; the log is complete afterwards."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end within {timeout} s:\n{self.log.text}") from None
        self.log.finish()
        return code

    def stop(self, number=TERM, timeout=15.0):
        self.signal(number)
        return self.wait(timeout)

    def kill(self):
        """kill -9 of the master; returns the children it had."""
        orphans = self.children
        self.process.kill()
        self.process.wait()
        return orphans

    def close(self):
        """Whatever happened: afterwards no process of this worker is there."""
        if self.process is not None:
            left = self.children
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGCONT)
                # Cold: what a test left running is nobody's concern any more.
                self.process.send_signal(signal.SIGQUIT)
                try:
                    self.process.wait(3)
                except subprocess.TimeoutExpired:
                    left = self.children
                    self.process.kill()
                    self.process.wait()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            # A grandchild may hold the pipe open for longer than the test cares.
            self.log.finish(0.5)
        self.notify.close()
