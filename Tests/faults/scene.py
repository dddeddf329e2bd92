"""A master with four children under a steady load, and the means to do them harm."""

import os
import shutil
import signal
import subprocess
import time

from chaos import brokers, ledger
from chaos.disk import Disk
from support import DRILL
from support.waiting import until
from support.worker import Worker

from .load import Load

CHILDREN = 4
READY = r"Child \d+ \(pid (\d+)\) is ready"
# Tasks a second. On SQLite each send is a process of its own.
RATES = {"redis": 25, "rabbitmq": 25, "sqlite": 15}
# A task that is hit should have been about to run for so long yet.
HIT = 0.2
NOBODY = 65534


class Scene:
    def __init__(self, name, folder, flags=(), as_nobody=False):
        folder.chmod(0o755)
        self.folder = folder
        self.disk = Disk(folder / "broker", brokers.MEGABYTES[name])
        self.broker = brokers.ALL[name](folder, self.disk)
        self.small_disk = Disk(folder / "small", 8)
        self.records = folder / "ledger"
        self.records.mkdir()
        self.app = folder / "app" / "drill-worker"
        self.app.parent.mkdir()
        shutil.copy(DRILL, self.app)
        self._flags = flags
        self.prefix = ()
        if as_nobody and os.geteuid() == 0:
            # Root's processes are not counted.
            self.prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            for place in (folder, self.records, self.disk.folder):
                os.chown(place, NOBODY, NOBODY)
        self.lives = []
        self.load = None
        self.culprits = {}
        """Tasks that did harm, and how they may end: {id: (status, exception's type), …}"""
        self.began = self.ended = None

    # What the run does.

    def start(self):
        self.broker.start()
        self.start_master()
        self.load = Load(self.broker, RATES[self.broker.name]).start()
        until(lambda: self.load.count >= 15 and self.whole(0), timeout=30, what="a steady load")
        self.before = self.worker.children

    def start_master(self):
        number = len(self.lives)
        environment = self.broker.environment(self.broker.direct) | {"DRILL_LEDGER": str(self.records)}
        self.lives.append(Worker(
            self.folder / f"life-{number}", "--child-env", "DRILL_LEDGER", "-l", "info", *self._flags, app=self.app, environment=environment,
            concurrency=CHILDREN, node="faults@local", prefix=self.prefix).start())  # fmt: skip

    @property
    def worker(self):
        return self.lives[-1]

    def whole(self, replaced):
        """Whether all children are ready, and so many of them (0: none at all) others than before the fault."""
        children = set(self.worker.children)
        ready = {int(match[1]) for match in self.worker.log.find(READY)}
        if self.began is None:
            return len(children) == CHILDREN and children <= ready
        others = len(children - set(self.before))
        return len(children) == CHILDREN and children <= ready and (others >= replaced if replaced else others == 0)

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

    def busy_child(self, late, but=()):
        """A child that has just begun a task which takes a while."""

        def find():
            sent = self.load.by_id()
            children = set(self.worker.children)
            for run in self.runs():
                each = sent.get(run.id)
                fresh = time.monotonic_ns() - run.start < (each.seconds - HIT) * 1e9 if each else False
                if fresh and run.end is None and each.late == late and run.pid in children and run.pid not in but:
                    return run.pid
            return None

        return until(find, timeout=30, what="a child in the middle of a task", every=0.002)

    def signal_busy(self, number):
        """Sends it to two children, one that runs a late task and one that runs an early one."""
        self.begins()
        first = self.busy_child(late=True)
        os.kill(first, number)
        os.kill(self.busy_child(late=False, but=(first,)), number)

    def kill_one(self):
        os.kill(self.busy_child(late=True), signal.SIGKILL)

    def send(self, task, *arguments, ends):
        """Sends what does harm. `ends`: the (status, type of exception) that it may end with."""
        self.begins()
        sender = self.broker.sender()
        id = sender.send_any(task, *arguments)
        sender.close()
        self.culprits[id] = ends
        return id

    def limit_master(self, what, value):
        """Its soft limit, as prlimit(1) calls it; what it was before."""
        done = subprocess.run(["prlimit", f"--pid={self.worker.pid}", f"--{what}", "--noheadings", "--output=SOFT"],
                              capture_output=True, text=True, check=True)  # fmt: skip
        subprocess.run(["prlimit", f"--pid={self.worker.pid}", f"--{what}={value}:"], check=True)
        return done.stdout.strip()

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
