"""The three brokers, as the killer and the verdict see them."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import time

from support.command import Command
from support.envelope import META, list_key
from support.proxy import Proxy
from support.rabbitmq_server import RabbitMQServer
from support.redis_server import RedisServer
from support.worker import PLAIN

from .producers import CelerySender, CommandSender

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def stored(server, ids):
    """{id: record} of what a Redis has."""
    found = {}
    with server.client() as client:
        for start in range(0, len(ids), 1000):
            part = ids[start : start + 1000]
            found |= {id: json.loads(text) for id, text in zip(part, client.mget([META + id for id in part])) if text}
    return found


class Served:
    """A broker with a process, `_server`."""

    senders = 3

    def start(self):
        self._server.start()

    def wire(self):
        return Proxy(self._server.port)

    @property
    def direct(self):
        """In a wire's place, where nobody needs to cut it."""
        return self._server

    @property
    def running(self):
        return self._server.running

    def kill(self):
        self._server.kill()

    def revive(self):
        self._server.start()

    def pause(self):
        self._server.pause()

    def resume(self):
        self._server.resume()

    def stop(self):
        self._server.stop()


class Redis(Served):
    name = "redis"

    def __init__(self, folder, disk):
        self.disk = disk
        self._server = RedisServer(disk.folder / "redis", options=DURABLE)

    def environment(self, wire):
        return {"COPPICE_BROKER_URL": f"redis://127.0.0.1:{wire.port}/0"}

    def sender(self):
        return CelerySender(self._server.url(), {"socket_timeout": 3, "socket_connect_timeout": 3})

    def results(self, ids):
        return stored(self._server, ids)

    def remaining(self):
        with self._server.client() as client:
            waiting = sum(client.llen(list_key(priority=step)) for step in (0, 3, 6, 9))
            return {"waiting": waiting, "held or parked": client.hlen("unacked"), "early and started": client.hlen("coppice.started"),
                    "dead letters": -client.llen("coppice.dead")}  # fmt: skip

    def cut(self):
        """The server closes its clients' connections, whatever goes on in them."""
        with self._server.client() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def fill(self):
        self.disk.fill()


class RabbitMQ(Served):
    name = "rabbitmq"
    # Below this it blocks publishers. A disk that is really full brings the server itself down, with whatever it had not confirmed.
    LIMIT = 48 << 20

    def __init__(self, folder, disk):
        self.disk = disk
        self._server = RabbitMQServer(disk.folder / "rabbitmq", settings=f"disk_free_limit.absolute = {self.LIMIT}\n")
        self._results = RedisServer(folder / "results", options=DURABLE)

    def start(self):
        self._results.start()
        super().start()

    def environment(self, wire):
        return {"COPPICE_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{wire.port}//", "COPPICE_RESULT_BACKEND": self._results.url()}

    def sender(self):
        return CelerySender(self._server.url(), {"confirm_publish": True, "read_timeout": 5, "write_timeout": 5, "confirm_timeout": 5})

    def results(self, ids):
        return stored(self._results, ids)

    def remaining(self):
        queues = self._server.queues()
        with self._results.client() as client:
            started = client.hlen("coppice.started")
        return {"waiting or parked": sum(ready for ready, _ in queues.values()), "held": sum(held for _, held in queues.values()),
                "early and started": started}  # fmt: skip

    def cut(self):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self._server.control("close_all_connections", "chaos", timeout=10)

    def fill(self):
        self.disk.fill(leave=self.LIMIT // 2)

    def stop(self):
        super().stop()
        self._results.stop()


class SQLite:
    name = "sqlite"
    # Each send is a process that waits for the file's lock.
    senders = 6

    def __init__(self, folder, disk):
        self.disk = disk
        self._path = disk.folder / "coppice.db"
        self._environment = {"COPPICE_BROKER_URL": f"sqlite:///{self._path}"}
        self._lock = None

    def start(self):
        pass

    def wire(self):
        return None

    direct = None

    def environment(self, _wire):
        return self._environment

    def sender(self):
        return CommandSender(Command(self._environment))

    def results(self, ids):
        found, wanted = {}, set(ids)
        with contextlib.closing(self._open()) as file:
            for task, record in file.execute("SELECT task, record FROM result"):
                if task in wanted:
                    found[task] = json.loads(record)
        return found

    def _open(self):
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)

    def remaining(self):
        with contextlib.closing(self._open()) as file:
            count = lambda table: file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: E731
            return {"messages": count("message"), "dead letters": -count("dead")}

    running = True

    # A file has no process. What comes nearest is one that has its only lock for writing, and hangs or is killed.

    def kill(self):
        self._hold_lock()
        self._lock.kill()
        self._lock.wait()

    def revive(self):
        pass

    def _hold_lock(self):
        code = (
            "import sqlite3, sys, time\n"
            "file = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n"
            "file.execute('BEGIN IMMEDIATE')\n"
            "print('locked', flush=True)\n"
            "time.sleep(600)\n"
        )
        self._lock = subprocess.Popen(["python3", "-c", code, str(self._path)], env=PLAIN, stdout=subprocess.PIPE, text=True)
        self._lock.stdout.readline()

    def pause(self):
        self._hold_lock()
        self._lock.send_signal(signal.SIGSTOP)

    def resume(self):
        self._lock.kill()
        self._lock.wait()

    def fill(self):
        self.disk.fill()

    def stop(self):
        pass


ALL = {each.name: each for each in (Redis, RabbitMQ, SQLite)}
MEGABYTES = {"redis": 768, "rabbitmq": 768, "sqlite": 384}


def quiet(broker, ids, final, timeout):
    """Waits until nothing is left and every id has a final result; what is left when the time is up."""
    deadline = time.monotonic() + timeout
    while True:
        left = {what: count for what, count in broker.remaining().items() if count > 0}
        if not left:
            records = broker.results(ids)
            open_ones = [id for id in ids if not final(records.get(id))]
            if not open_ones:
                return {}
            left = {"ids without a verdict": len(open_ones)}
        if time.monotonic() > deadline:
            return left
        time.sleep(0.25)
