"""What the killer did, and when, by the clock that the ledger uses."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field


@dataclass
class Event:
    kind: str
    start: int
    end: int | None = None
    """Nanoseconds of the monotonic clock; None while it lasts."""
    wall: float = 0.0
    """The start by the wall clock, which stored results have."""
    pids: list = field(default_factory=list)
    """Processes that were killed, stopped or cut off; none if it was the broker."""

    @property
    def over(self):
        return self.end if self.end is not None else time.monotonic_ns()


class Journal:
    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        self.events = []

    @contextmanager
    def lasting(self, kind, pids=()):
        event = Event(kind, time.monotonic_ns(), wall=time.time(), pids=list(pids))
        with self._lock:
            self.events.append(event)
        try:
            yield event
        finally:
            event.end = time.monotonic_ns()
            with self._lock, open(self._path, "a") as file:
                file.write(json.dumps(asdict(event)) + "\n")

    def of(self, *kinds):
        with self._lock:
            return [event for event in self.events if event.kind in kinds]

    def counts(self):
        with self._lock:
            found = {}
            for event in self.events:
                found[event.kind] = found.get(event.kind, 0) + 1
            return found
