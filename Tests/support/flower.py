"""Flower with its REST interface, as one starts it for a broker whose applications it does not know."""

import json
import subprocess
import urllib.request

from . import venv_python
from .server import Server, free_port
from .waiting import until
from .worker import PLAIN


class Flower(Server):
    def __init__(self, folder, url):
        self.log = folder / "flower.log"
        self.url = url
        self.port = free_port()

    def start(self):
        command = [
            venv_python("flower"), "-m", "celery", "-b", self.url, "--result-backend", self.url,
            "flower", "--address=127.0.0.1", f"--port={self.port}",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=PLAIN | {"FLOWER_UNAUTHENTICATED_API": "1"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # fmt: skip
        until(self._answers, timeout=30, every=0.05, what=lambda: "Flower to answer:\n" + self.log.read_text())
        return self

    def _answers(self):
        assert self.running, "Flower did not start:\n" + self.log.read_text()
        try:
            return self._ask("healthcheck")
        except OSError:
            return False

    def post(self, path):
        return json.loads(self._ask(path, data=b""))

    def _ask(self, path, data=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", data=data, timeout=10) as answer:
            return answer.read()
