"""A master with four children under a steady load, and the means to do them harm."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import uuid

from chaos import ledger
from chaos.disk import Disk
from chaos.producers import EARLY, LATE
from chaos.verdict import final
from support import DRILL
from support.waiting import until
from support.worker import Worker

from . import servers
from .load import Load

CHILDREN = 4
READY = r"Child \d+ \(pid (\d+)\) is ready"
# Tasks a second. On SQLite each send is a process of its own.
RATE, SLOW_RATE = 25, 15
# Seconds that a task takes that is to be hit in its middle.
MIDDLE = 2.0
NOBODY = 65534


class Scene:
    def __init__(self, name, folder, fault):
        folder.chmod(0o755)
        self.folder = folder
        kind = servers.ALL[name]
        self.disk = Disk(folder / "broker", servers.MEGABYTES[kind.name])
        self.broker = kind(folder, self.disk)
        self.small_disk = Disk(folder / "small", 8)
        self.records = folder / "ledger"
        self.records.mkdir()
        self.app = folder / "app" / "drill-worker"
        self.app.parent.mkdir()
        shutil.copy(DRILL, self.app)
        self._flags = fault.flags
        self._log = self.small_disk.folder / "log" if fault.logs_to_disk else None
        self._prefix = ()
        if fault.as_nobody and os.geteuid() == 0:
            self._prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            for place in (folder, self.records, self.disk.folder):
                os.chown(place, NOBODY, NOBODY)
        self.lives = []
        self.load = None
        self.culprits = {}
        """Tasks that did harm, and how they may end: {id: (state or (state, exception's type), …)}"""
        self.began = self.ended = None

    # What the run does.

    def start(self):
        self.broker.start()
        self.start_master()
        # On SQLite the file is the master's user's, who makes it.
        self.worker.ready()
        self.load = Load(self.broker, SLOW_RATE if self.broker.name == "sqlite" else RATE).start()
        until(lambda: self.load.count >= 15 and self.whole(0), timeout=30, what="a steady load")
        self.before = self.worker.children

    def start_master(self):
        number = len(self.lives)
        environment = self.broker.environment(self.broker.direct) | {"DRILL_LEDGER": str(self.records)}
        flags = ["--child-env", "DRILL_LEDGER", "-l", "info", *self._flags] + (["--logfile", self._log] if self._log else [])
        self.lives.append(Worker(self.folder / f"life-{number}", *flags, app=self.app, environment=environment, concurrency=CHILDREN,
                                 node="faults@local", prefix=self._prefix).start())  # fmt: skip

    @property
    def worker(self):
        return self.lives[-1]

    def whole(self, replaced):
        """Whether all children are ready, and so many of them (0: none at all) others than before the fault."""
        children = set(self.worker.children)
        # A log that lies on a full disk says nothing more.
        lines = re.findall(READY, self._log.read_text()) if self._log else [match[1] for match in self.worker.log.find(READY)]
        ready = set(map(int, lines))
        if self.began is None:
            return len(children) == CHILDREN and children <= ready
        others = len(children - set(self.before))
        return len(children) == CHILDREN and children <= ready and (others >= replaced if replaced else others == 0)

    def recover(self, replaced, timeout=15.0):
        """Waits until all children are ready, and so many of them others."""
        until(lambda: self.whole(replaced), timeout=timeout, what=lambda: "all children to be ready\n" + self.worker.log.text[-2000:])

    def ready_times(self):
        """When a child said ready, of all that did: nanoseconds of the monotonic clock."""
        return [at for life in self.lives for at in life.log.times(READY)]

    def runs(self):
        return ledger.read(self.records)

    def close(self):
        for life in self.lives:
            life.close()
        self.broker.stop()
        self.disk.close()
        self.small_disk.close()

    # What a fault does.

    def begins(self):
        self.began = time.monotonic_ns()

    def ends(self):
        """Of what lasts until somebody puts an end to it: until normal is counted from here on."""
        self.ended = time.monotonic_ns()

    def busy_child(self, task, but=None):
        """A child, one of those of before and not `but`, that has just begun a task of this kind which takes a while."""
        while True:
            sent = self.load.send(task, MIDDLE)
            pid = until(lambda: next((run.pid for run in self.runs() if run.id == sent.id), None), timeout=30, what="a task to begin")
            if pid in self.before and pid != but:
                return pid

    def signal_busy(self, number):
        """Sends it to two children, one that runs a late task and one that runs an early one."""
        first = self.busy_child(LATE)
        second = self.busy_child(EARLY, but=first)
        self.begins()
        for pid in (first, second):
            os.kill(pid, number)

    def kill_one(self):
        victim = self.busy_child(LATE)
        self.begins()
        os.kill(victim, signal.SIGKILL)

    def send_culprit(self, task, *arguments, ends, **options):
        """Sends what does harm. `ends`: the states, or (state, type of exception), that it may end with. `options`: of Celery's `send_task`."""
        self.begins()
        sender = self.broker.sender()
        id = sender.send(task, str(uuid.uuid4()), *arguments, **options)
        sender.close()
        self.culprits[id] = ends
        return id

    def await_verdict(self, id, timeout=30):
        until(lambda: final(self.broker.results([id]).get(id)), timeout=timeout, every=0.05,
              what=lambda: f"the verdict of {id}\n" + self.worker.log.text[-2000:])  # fmt: skip

    @contextlib.contextmanager
    def limited(self, what, value):
        """The master's soft limit of `what`, as prlimit(1) calls it, is `value` meanwhile."""
        # As the master's own user, who alone may do it without a capability that containers do not have.
        prlimit = [*self._prefix, "prlimit", f"--pid={self.worker.pid}"]
        before = subprocess.run([*prlimit, f"--{what}", "--noheadings", "--raw", "--output=SOFT"], capture_output=True, text=True, check=True)
        subprocess.run([*prlimit, f"--{what}={value}:"], check=True)
        yield
        subprocess.run([*prlimit, f"--{what}={before.stdout.strip()}:"], check=True)

    def refused(self):
        """Waits until the master has said that it could not replace a child."""
        self.worker.log.wait(r"can't start a child|ended before it was ready", timeout=15)

    def put(self, make):
        """Puts another file into the application's place, whole, as an installation does."""
        new = self.app.with_name("new")
        make(new)
        os.replace(new, self.app)
        return self.app

    def put_good(self):
        self.put(lambda new: shutil.copy(DRILL, new))
