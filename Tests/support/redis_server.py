"""A Redis of one's own, on a free port of the loopback interface, with its data in a folder of the test."""

import subprocess

import redis

from .server import Server, free_port
from .waiting import until


class RedisServer(Server):
    def __init__(self, folder, password=None, options=(), port=None):
        self.folder = folder
        self.password = password
        self.port = port or free_port()
        self.options = list(options)

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
        if not self.running:
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
