"""The `coppice` command, run to its end."""

import json
import subprocess

from . import COPPICE
from .worker import PLAIN


class Command:
    """Runs subcommands with one environment."""

    def __init__(self, environment):
        self.environment = PLAIN | environment

    def run(self, *arguments, timeout=30, **extra):
        return subprocess.run(
            [str(COPPICE), *map(str, arguments)], env=self.environment | extra, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout)  # fmt: skip

    def call(self, name, *args, options=(), **kwargs):
        """Sends a task; its id."""
        done = self.run("call", name, "--args", json.dumps(args), "--kwargs", json.dumps(kwargs), *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def result(self, task, timeout=20):
        """The value that a task returned."""
        done = self.run("result", task, "--timeout", timeout, timeout=timeout + 10)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def failure(self, task, timeout=20):
        """What `coppice result` says of a task that did not succeed."""
        done = self.run("result", task, "--timeout", timeout, timeout=timeout + 10)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        return done.stderr.strip()
