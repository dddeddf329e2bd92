"""What goes wrong, in an order that the seed decides: each kind comes up once in a round, rounds until the time is up."""

import contextlib
import os
import random
import threading
import time

# Shorter than a lease, and longer than it and than a command's deadline.
BLIP, BEYOND = (0.3, 3.0), (6.0, 8.0)


class Killer:
    def __init__(self, seed, broker, nodes, journal):
        self._random = random.Random(f"{seed}/killer")
        self._broker, self._nodes, self._journal = broker, nodes, journal
        self._over = threading.Event()
        # Children are not touched while it is set: the other master's take-over is being timed.
        self._hands_off = threading.Event()
        self.failures = []
        kinds = ["master killed", "master gone for 11 s", "both masters killed", "master stopped", "master stopped beyond its lease",
                 "broker killed", "broker stopped", "broker stopped for 10 s"]  # fmt: skip
        if nodes[0].wire:
            kinds += ["connections closed by the broker", "connections reset", "connections silent"]
        if broker.disk.small:
            kinds.append("disk full")
        self._actions = {
            "master killed": self._kill_master, "master gone for 11 s": self._master_gone, "both masters killed": self._kill_both,
            "master stopped": lambda: self._stop_master("master stopped", *BLIP),
            "master stopped beyond its lease": lambda: self._stop_master("master stopped beyond its lease", *BEYOND),
            "broker killed": self._kill_broker, "broker stopped": lambda: self._stop_broker("broker stopped", self._between(1, 4)),
            "broker stopped for 10 s": lambda: self._stop_broker("broker stopped for 10 s", 10),
            "connections closed by the broker": self._cut, "connections reset": self._reset, "connections silent": self._silence,
            "disk full": self._fill_disk,
        }  # fmt: skip
        self._kinds = kinds
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True) for work in (self._disturb, self._kill_children)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def finish(self):
        """Ends after the disturbance that is under way; all is up again then."""
        self._over.set()
        for thread in self._threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in self._threads), "the killer hangs"

    def _guard(self, work):
        try:
            work()
        except Exception as failure:  # A thread's failure must fail the run, not end in a line that nobody reads.
            self.failures.append(f"{type(failure).__name__}: {failure}")

    def _between(self, low, high):
        return self._random.uniform(low, high)

    def _disturb(self):
        # First, since its take-over is timed: also in a run that is too short for a whole round.
        self._master_gone()
        while not self._over.is_set():
            round = self._random.sample(self._kinds, len(self._kinds))
            for kind in round:
                if self._over.wait(self._between(0.3, 2.0)):
                    return
                self._actions[kind]()

    def _kill_children(self):
        chance = random.Random(self._random.random())
        while not self._over.wait(chance.expovariate(1.5)):
            if self._hands_off.is_set():
                continue
            with contextlib.suppress(ProcessLookupError):
                victims = [pid for node in self._nodes if node.running for pid in node.children]
                if victims:
                    victim = chance.choice(victims)
                    with self._journal.lasting("child killed", [victim]):
                        os.kill(victim, 9)

    def _node(self):
        return self._random.choice(self._nodes)

    @contextlib.contextmanager
    def _killed(self, kind, nodes):
        with self._journal.lasting(kind, [pid for node in nodes for pid in (node.pid, *node.children)]):
            for node in nodes:
                node.kill()
        yield
        for node in nodes:
            node.start()

    def _kill_master(self):
        with self._killed("master killed", [self._node()]):
            time.sleep(self._between(0, 3))

    def _master_gone(self):
        self._hands_off.set()
        try:
            # What went wrong before is over (verdict.CALM).
            time.sleep(3)
            with self._killed("master gone for 11 s", [self._node()]):
                time.sleep(11)
        finally:
            self._hands_off.clear()

    def _kill_both(self):
        with self._killed("both masters killed", self._nodes):
            time.sleep(self._between(0, 1))

    def _stop_master(self, kind, low, high):
        node = self._node()
        with self._journal.lasting(kind, [node.pid]):
            node.stop_process()
            time.sleep(self._between(low, high))
            node.continue_process()

    def _kill_broker(self):
        with self._journal.lasting("broker killed"):
            self._broker.kill()
            time.sleep(self._between(0, 1.5))
            self._broker.revive()

    def _stop_broker(self, kind, seconds):
        with self._journal.lasting(kind):
            self._broker.pause()
            time.sleep(seconds)
            self._broker.resume()

    def _cut(self):
        with self._journal.lasting("connections closed by the broker"):
            self._broker.cut()

    def _reset(self):
        node = self._node()
        with self._journal.lasting("connections reset", [node.pid]):
            node.wire.reset()

    def _silence(self):
        node = self._node()
        # It is found within ten seconds; the lease may have run out by then.
        with self._journal.lasting("connections silent", [node.pid]):
            node.wire.silence()
            time.sleep(10)

    def _fill_disk(self):
        with self._journal.lasting("disk full"):
            self._broker.fill()
            time.sleep(self._between(2, 4))
            self._broker.disk.clear()
            # A Redis that may not lose what it confirms ends when it can't write.
            if not self._broker.running:
                self._broker.revive()
