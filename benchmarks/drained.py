"""How fast a worker empties a queue that was full before it started.

A queue of RabbitMQ's, or a file, can't appear at once as a Redis list can. So the clock starts when the first hundredth of the results
is there and stops with the last: a worker's start is not in the figure.
"""

import threading
import time


class Sampler:
    """Counts stored results each few milliseconds."""

    def __init__(self, count):
        """`count()`: how many results are there; asked in a thread of its own."""
        self._count = count
        self._samples = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(10)

    def _sample(self):
        while not self._over.wait(0.02):
            found = self._count()
            self._samples.append((time.monotonic(), found))

    def rate(self, count, ended_at):
        """Tasks per second from the first hundredth on."""
        started_at, already = next(sample for sample in self._samples if sample[1] >= count / 100)
        return (count - already) / (ended_at - started_at)
