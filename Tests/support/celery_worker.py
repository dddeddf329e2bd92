"""Celery's own worker as a process: prefork, with the tasks of fleet_app."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from . import processes
from .worker import PLAIN, Log


class CeleryWorker:
    def __init__(self, folder, broker, results, ledger, *flags, node="python@local", concurrency=2, options=None, rejected=0.0):
        """`rejected`: the share of late tasks that it sends back to their queue at sight."""
        self._command = [sys.executable, "-m", "celery", "-A", "support.fleet_app", "worker", "-c", str(concurrency), "-n", node,
                         "-l", "info", *map(str, flags)]  # fmt: skip
        self._environment = PLAIN | {
            "FLEET_BROKER": broker, "FLEET_RESULTS": results, "FLEET_OPTIONS": repr(options or {}), "FLEET_REJECTED": str(rejected),
            "DRILL_LEDGER": str(ledger), "C_FORCE_ROOT": "1", "PYTHONUNBUFFERED": "1", "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        }  # fmt: skip
        self._process = None

    def start(self):
        self._process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        self.log = Log(self._process.stdout)
        self.log.wait(r"\bready\.", timeout=40)
        return self

    @property
    def pid(self):
        return self._process.pid

    def stop(self):
        """Warm: what runs is finished, what was only claimed goes back. On a busy machine Celery sometimes stays for good after a SIGTERM;
        then it is asked in its second way, and then it is not asked."""
        for number in (signal.SIGTERM, signal.SIGQUIT):
            self._process.send_signal(number)
            try:
                return self._process.wait(15)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self):
        """kill -9 of the master and its children."""
        pids = [self._process.pid, *processes.children(self._process.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()

    def close(self):
        if self._process and self._process.poll() is None:
            self.kill()
