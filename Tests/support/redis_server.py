"""A Redis of one's own, on a free port of the loopback interface, with its data in a folder of the test."""

import contextlib
import signal
import socket
import subprocess

import redis

from .waiting import until


def free_port(highest=65535):
    """A port that nobody has; others are held meanwhile, so that one below `highest` comes up."""
    with contextlib.ExitStack() as held:
        while True:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            if probe.getsockname()[1] <= highest:
                return probe.getsockname()[1]


class RedisServer:
    def __init__(self, folder, password=None, options=(), port=None):
        self.folder = folder
        self.password = password
        # A cluster's bus takes the port 10,000 above.
        self.port = port or free_port(highest=55535)
        self.options = list(options)
        self.process = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder),
            "--save", "", "--daemonize", "no", "--logfile", str(self.folder / "redis.log"),
        ]  # fmt: skip
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen(command + self.options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, what="Redis to answer")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("Redis did not start: " + (self.folder / "redis.log").read_text())
        try:
            with self.client() as client:
                return client.ping()
        except redis.exceptions.RedisError:
            return False

    def client(self, **options):
        return redis.Redis(host="127.0.0.1", port=self.port, password=self.password, **options)

    def url(self, database=0):
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/{database}"

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
