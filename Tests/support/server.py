"""A server of one's own, as a process that is stopped, killed and started again."""

import contextlib
import signal
import socket
import subprocess


def free_port(highest=65535):
    """A port that nobody has; others are held meanwhile, so that one below `highest` comes up."""
    with contextlib.ExitStack() as held:
        while True:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            if probe.getsockname()[1] <= highest:
                return probe.getsockname()[1]


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
