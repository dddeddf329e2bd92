"""systemd's own journal daemon, with /run to itself: a mount namespace in which the journal's sockets are nobody else's."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .server import Server
from .waiting import until

DAEMON = Path("/lib/systemd/systemd-journald")

# Nothing of the kernel's log, nothing dropped for its number.
SETTINGS = "[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitIntervalSec=0\\nForwardToWall=no\\n"

START = f"""mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal &&
printf '{SETTINGS}' >/run/systemd/journald.conf.d/test.conf && touch /run/is-private && exec sleep infinity"""


def available():
    return os.geteuid() == 0 and DAEMON.exists() and shutil.which("journalctl") and shutil.which("unshare") is not None


class Journal(Server):
    def __init__(self):
        self._space = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", START])
        until(lambda: subprocess.run([*self.prefix, "test", "-e", "/run/is-private"], stderr=subprocess.DEVNULL).returncode == 0,
              what="a private /run")  # fmt: skip

    @property
    def prefix(self):
        """What a command is started with to see this journal and no other."""
        return ["nsenter", "--mount", "--target", str(self._space.pid), "--"]

    def start(self):
        self.process = subprocess.Popen([*self.prefix, str(DAEMON)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(f"/proc/{self._space.pid}/root/run/systemd/journal/stdout"), what="the journal's sockets")
        return self

    def entries(self, *matches):
        """What `journalctl -o json` shows for matches like COPPICE_TASK_ID=…, oldest first."""
        done = subprocess.run([*self.prefix, "journalctl", "-D", "/run/log/journal", "-o", "json", *matches],
                              capture_output=True, text=True, timeout=20)  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait(self, count, *matches):
        """The entries, when there are so many."""
        return until(lambda: (found := self.entries(*matches)) and len(found) >= count and found, every=0.05,
                     what=lambda: f"{count} entries of {matches}: {self.entries(*matches)}")  # fmt: skip

    def close(self):
        self.stop()
        self._space.kill()
        self._space.wait()
