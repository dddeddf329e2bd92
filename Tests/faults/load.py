"""Known tasks at a steady rate. Only a send that the broker has acknowledged counts; none is tried twice under one id."""

import itertools
import random
import threading
import time
import uuid
from dataclasses import dataclass

from chaos.producers import EARLY, LATE

# Seconds that a task takes: half of the children's time, so that nothing waits for long while nothing is wrong.
LENGTHS = (0.0, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Sent:
    id: str
    task: str
    seconds: float
    at: int
    """When it was acknowledged: nanoseconds of the monotonic clock."""

    @property
    def late(self):
        return self.task == LATE


class Load:
    def __init__(self, broker, rate):
        self._broker, self._rate = broker, rate
        self._over = threading.Event()
        self._numbers = itertools.count()
        self._random = random.Random(broker.name)
        self._lock = threading.Lock()
        self.sent, self.unsure = [], []
        self._threads = [threading.Thread(target=self._produce, daemon=True) for _ in range(broker.senders)]

    def start(self):
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def finish(self):
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a producer hangs"

    @property
    def count(self):
        with self._lock:
            return len(self.sent)

    def _next(self):
        with self._lock:
            number = next(self._numbers)
            id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            return number, id, self._random.choice((LATE, EARLY)), self._random.choice(LENGTHS)

    def send(self, task, seconds):
        """One more, which must be acknowledged."""
        sender = self._broker.sender()
        _, id, _, _ = self._next()
        sent = self._send(sender, id, task, seconds)
        sender.close()
        return sent

    def _send(self, sender, id, task, seconds):
        sent = Sent(sender.send(task, id, seconds, 0), task, seconds, time.monotonic_ns())
        with self._lock:
            self.sent.append(sent)
        return sent

    def _produce(self):
        sender = None
        while True:
            number, id, task, seconds = self._next()
            if self._over.wait(max(0, self._started + number / self._rate - time.monotonic())):
                break
            try:
                sender = sender or self._broker.sender()
                self._send(sender, id, task, seconds)
            except Exception as failure:  # Whatever a client says of a broker that has just been harmed.
                with self._lock:
                    self.unsure.append(f"{type(failure).__name__}: {failure}")
                if sender:
                    sender.close()
                sender = None
        if sender:
            sender.close()
