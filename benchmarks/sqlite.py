"""Coppice beside Huey, both on SQLite files of their own, both flushed to the disk at each commit (write-ahead log, synchronous full)."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

from drained import Sampler
from measure import median
from support import EXAMPLE, processes
from support.command import Command
from support.waiting import until
from support.worker import PLAIN, Log, Worker

PREFETCH = 64


def scalar(path, statement):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as file:
        return file.execute(statement).fetchone()[0] or 0


class Coppice:
    name = "coppice"

    def __init__(self, folder, number):
        self.folder = folder / f"coppice-{number}"
        self.folder.mkdir(parents=True)
        self.path = self.folder / "bench.db"
        self._environment = {"COPPICE_BROKER_URL": f"sqlite:///{self.path}"}
        self._worker = None

    def fill(self, count):
        """One message that the command made, and copies of it with ids of their own."""
        sent = Command(self._environment).call("example.add", 2, 3)
        with contextlib.closing(sqlite3.connect(self.path, timeout=5)) as file, file:
            raw, queue, step, place = file.execute(
                "SELECT raw, message.queue, message.step, place FROM message JOIN waiting ON waiting.message = message.id").fetchone()  # fmt: skip
            for number in range(1, count):
                copy = bytes(raw).replace(sent.encode(), str(uuid.uuid4()).encode())
                made = file.execute("INSERT INTO message (queue, step, raw) VALUES (?, ?, ?)", (queue, step, copy)).lastrowid
                file.execute("INSERT INTO waiting (queue, step, place, message) VALUES (?, ?, ?, ?)", (queue, step, place + number, made))

    def start(self):
        self._worker = Worker(self.folder, "-l", "warning", "--prefetch-multiplier", str(PREFETCH), app=EXAMPLE, concurrency=2,
                              environment=self._environment).start()  # fmt: skip

    def done(self):
        return scalar(self.path, "SELECT max(id) FROM result")

    def check(self, count):
        """Whether all are final; a wrong sum is an error."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)) as file:
            final = file.execute("SELECT count(*) FROM result WHERE state = 'SUCCESS'").fetchone()[0]
            if final == count:
                values = {json.loads(record)["result"] for (record,) in file.execute("SELECT record FROM result")}
                assert values == {5}, values
            return final == count

    def stop(self):
        if self._worker:
            self._worker.close()


class Huey:
    name = "huey"

    def __init__(self, folder, number):
        self.folder = folder / f"huey-{number}"
        self.folder.mkdir(parents=True)
        self.path = self.folder / "bench.db"
        self._environment = PLAIN | {"BENCH_FILE": str(self.path), "PYTHONPATH": str(Path(__file__).parent), "HOME": str(self.folder)}
        self._process = None

    def fill(self, count):
        # Only while it is filled: no flush for each of them.
        code = "import huey_app\nhuey_app.huey.storage.conn.execute('pragma synchronous=0')\n" + f"for _ in range({count}): huey_app.add(2, 3)"
        subprocess.run([sys.executable, "-c", code], env=self._environment, check=True)

    def start(self):
        # Two processes, and asked for work as often as it can be told to.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "huey.bin.huey_consumer", "huey_app.huey", "-w", "2", "-k", "process", "-q", "-n", "-d", "0.01", "-m", "0.01"],
            env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        self._log = Log(self._process.stdout)

    def done(self):
        return scalar(self.path, "SELECT max(rowid) FROM kv")

    def check(self, count):
        return scalar(self.path, "SELECT count(*) FROM kv") == count

    def stop(self):
        if self._process and self._process.poll() is None:
            left = processes.children(self._process.pid)
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def drain(contender, count):
    contender.fill(count)

    def counted():
        # The table is not there before the first worker was.
        with contextlib.suppress(sqlite3.OperationalError):
            return contender.done()
        return 0

    with Sampler(counted) as sampler:
        try:
            contender.start()
            until(lambda: counted() >= count and contender.check(count), timeout=600, what=f"{contender.name}'s results", every=0.01)
            ended_at = time.monotonic()
        finally:
            contender.stop()
    return sampler.rate(count, ended_at)


def compare(folder, plan, say):
    """(rows of the table, how many times Huey's rate)"""
    counts = {"coppice": plan["tasks"], "huey": plan["huey_tasks"]}
    rates = {name: [] for name in counts}
    for number in range(plan["rounds"]):
        for kind in (Coppice, Huey):
            rates[kind.name].append(drain(kind(folder / "sqlite", number), counts[kind.name]))
        say(f"  sqlite, round {number + 1}: " + "  ".join(f"{name} {found[-1]:10,.0f}/s" for name, found in rates.items()))
    ours, theirs = median(rates["coppice"]), median(rates["huey"])
    met = "met" if ours >= 5 * theirs else "MISSED"
    return [("SQLite: tasks per second (beside Huey)", f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:,.1f}×", "5×", met)], ours / theirs
