"""A server of one's own, as a process that is stopped, killed and started again."""

import contextlib
import random
import signal
import socket
import subprocess


def free_port():
    """A port that nobody listens on. It is below those that the kernel gives to whoever connects (ip_local_port_range), or it might be
    some connection's local end when its server comes to it; a cluster's bus, 10,000 above, has room, too."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """`start`, which sets `process`, is the heir's."""

    process = None
    # Seconds in which it ends when it is asked to.
    patience = 5

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """kill -9; `start` brings it back on the same data."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.running:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(self.patience)
            except subprocess.TimeoutExpired:
                self.kill()
