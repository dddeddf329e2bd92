"""A cgroup of version 2 for one test, where the machine lets us make one."""

import os
import uuid
from pathlib import Path

from .waiting import until


def mount():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    return None


def usable():
    """Whether we may make groups, and the kernel kills by group."""
    found = mount()
    if found is None or os.geteuid() != 0 or not os.access(found, os.W_OK):
        return False
    probe = found / f"coppice-probe-{uuid.uuid4().hex[:8]}"
    try:
        probe.mkdir()
    except OSError:
        return False
    kills = (probe / "cgroup.kill").exists()
    probe.rmdir()
    return kills


class Group:
    def __init__(self):
        self.path = mount() / f"coppice-test-{uuid.uuid4().hex[:8]}"
        self.path.mkdir()

    @property
    def prefix(self):
        """What to put before a command so that it starts in the group."""
        return ("/bin/sh", "-c", f'echo 0 >{self.path}/cgroup.procs && exec "$@"', "sh")

    def delegate(self):
        """As systemd marks what it hands over."""
        os.setxattr(self.path, "user.delegate", b"1")

    @property
    def names(self):
        return sorted(entry.name for entry in self.path.iterdir() if entry.is_dir())

    def of(self, pid):
        """The group of a process, as a path below this one; None if it is elsewhere."""
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                inside = line[3:].rpartition(f"/{self.path.name}")
                return inside[2] if inside[1] else None
        return None

    def close(self):
        (self.path / "cgroup.kill").write_text("1")

        def gone():
            try:
                for entry in self.path.iterdir():
                    if entry.is_dir():
                        entry.rmdir()
                self.path.rmdir()
            except OSError:
                return False
            return True

        until(gone, what=f"the end of {self.path}")
