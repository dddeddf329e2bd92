"""A small Debian whose systemd is the first process of a container: booted in seconds, and gone without a trace."""

import os
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

from machine import Machine

CGROUPS = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]


class Container(Machine):
    """systemd-nspawn on a tree that stays as it is: what the container writes is in an overlay of its own mount namespace.

    `--register=no --keep-unit`: there is no systemd outside that could be told of it. So nspawn uses the cgroup that it is started
    in, and that is made here, one for each container, and removed.
    """

    def __init__(self, tree, log):
        self.log = log
        self._tree = tree
        self._name = f"coppice-test-{uuid.uuid4().hex[:8]}"
        self._cgroups = [root / self._name for root in CGROUPS if (root / "cgroup.procs").exists()]
        self._nspawn = None
        self._leader = None

    def start(self, shared):
        """Boots. `shared` is a folder of the host that the container sees, read-only, as /mnt."""
        for cgroup in self._cgroups:
            cgroup.mkdir()
        command = ["systemd-nspawn", "--boot", f"--directory={self._tree}", "--volatile=overlay", f"--machine={self._name}",
                   "--register=no", "--keep-unit", "--private-network", "--console=pipe", f"--bind-ro={shared}:/mnt"]  # fmt: skip
        with open(self.log, "wb") as log:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=lambda: [(cgroup / "cgroup.procs").write_text("0") for cgroup in self._cgroups])  # fmt: skip
        self._leader = self._wait_for_leader()
        self.wait_for_boot()
        return self

    def _wait_for_leader(self, timeout=30):
        deadline = time.monotonic() + timeout
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        while time.monotonic() < deadline:
            if self._nspawn.poll() is not None:
                raise AssertionError(f"systemd-nspawn has ended with {self._nspawn.returncode}: {self.log.read_text()}")
            for pid in children.read_text().split():
                # The leader is ours when it has become systemd in the new namespaces.
                if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return int(pid)
            time.sleep(0.05)
        raise AssertionError(f"no systemd in the container after {timeout} s: {self.log.read_text()}")

    def execute(self, script, timeout):
        done = subprocess.run(
            ["nsenter", "--all", f"--target={self._leader}", "/bin/sh"], input=script, timeout=timeout, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"})  # fmt: skip
        return done.returncode, done.stdout

    @contextmanager
    def neighbour(self, *command):
        """A process of the host's while the context lasts: it has the container's network, and nothing else of it."""
        process = subprocess.Popen(["nsenter", "--net", f"--target={self._leader}", *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)

    def stop(self):
        if self._nspawn and self._nspawn.poll() is None:
            self._nspawn.terminate()
            try:
                self._nspawn.wait(timeout=20)
            except subprocess.TimeoutExpired:
                # The container goes with its first process.
                os.kill(self._leader or self._nspawn.pid, signal.SIGKILL)
                self._nspawn.wait(timeout=20)
        for cgroup in self._cgroups:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                os.rmdir(folder)
