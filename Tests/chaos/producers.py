"""Known tasks, sent over the whole time. Only a send that the broker has acknowledged counts; none is tried twice under one id."""

import random
import threading
import time
import uuid
from dataclasses import dataclass

from celery import Celery

LATE, EARLY = "drill.witness.late", "drill.witness.early"


@dataclass(frozen=True)
class Sent:
    id: str
    task: str
    seconds: float
    times: int

    @property
    def late(self):
        return self.task == LATE


def draw(random):
    """(task, seconds, retries): mostly short, a few of seconds, a few longer than a lease."""
    task = random.choices((LATE, EARLY), (3, 2))[0]
    seconds = random.choices(
        (0.0, random.uniform(0.001, 0.02), random.uniform(0.05, 0.3), random.uniform(1, 3), random.uniform(6, 9)),
        (590, 250, 130, 20, 1))[0]  # fmt: skip
    times = random.choices((0, 1, 2), (90, 8, 2))[0] if seconds < 1 else 0
    return task, round(seconds, 4), times


class Producers:
    def __init__(self, broker, count, seconds, seed):
        self._broker, self._count, self._seconds = broker, count, seconds
        self._lock = threading.Lock()
        self._left = count
        self.sent, self.unsure = [], []
        self._threads = [threading.Thread(target=self._produce, args=(random.Random(f"{seed}/{n}"),), daemon=True) for n in range(broker.senders)]

    def start(self):
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def finish(self, timeout, failures):
        """Waits until all are sent; not longer than there are no `failures`, without which nothing might ever be sent again."""
        deadline = time.monotonic() + timeout
        while any(thread.is_alive() for thread in self._threads):
            assert not failures, failures
            assert time.monotonic() < deadline, "a producer hangs"
            time.sleep(0.1)

    def _due(self):
        """How many should have been sent by now."""
        return self._count * (time.monotonic() - self._started) / self._seconds

    def _produce(self, random):
        sender = None
        while True:
            with self._lock:
                if self._left == 0:
                    break
                ahead = len(self.sent) - self._due()
                if ahead <= 0:
                    self._left -= 1
            if ahead > 0:
                time.sleep(min(0.05, ahead / self._count * self._seconds))
                continue
            task, seconds, times = draw(random)
            id = str(uuid.UUID(int=random.getrandbits(128), version=4))
            try:
                sender = sender or self._broker.sender()
                id = sender.send(task, id, seconds, times)
            except Exception as failure:  # Whatever a client library says while its broker is being killed.
                with self._lock:
                    self.unsure.append((id, f"{type(failure).__name__}: {failure}"))
                    self._left += 1
                if sender:
                    sender.close()
                sender = None
                time.sleep(0.2)
            else:
                with self._lock:
                    self.sent.append(Sent(id, task, seconds, times))
        if sender:
            sender.close()


class CelerySender:
    """One connection of a real client."""

    def __init__(self, url, options):
        # No result backend: a client of Redis' would subscribe to each task's channel.
        self._app = Celery("chaos", broker=url, set_as_current=False)
        self._app.conf.update(task_serializer="json", broker_transport_options=options, broker_connection_timeout=3)
        self._connection = self._app.connection_for_write()
        self._connection.connect()
        self._producer = self._app.amqp.Producer(self._connection)

    def send(self, task, id, *arguments, **options):
        self._app.send_task(task, arguments, task_id=id, producer=self._producer, retry=False, **options)
        return id

    def close(self):
        try:
            self._connection.collapse()
        except Exception:
            pass  # It was broken: that is why it is closed.


class CommandSender:
    """`coppice call`, which makes the id; it ends with 0 when the message stands in the file."""

    def __init__(self, command):
        self._command = command

    def send(self, task, _id, *arguments):
        return self._command.call(task, *arguments)

    def close(self):
        pass
