"""A small disk for the broker's data, which can be filled."""

import os
import subprocess


class Disk:
    def __init__(self, folder, megabytes):
        self.folder = folder
        folder.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "coppice-chaos", str(folder)],
                              capture_output=True, text=True)  # fmt: skip
        self.small = done.returncode == 0
        self.refusal = done.stderr.strip()
        self._filler = folder / "filler"

    def fill(self, leave=0):
        """Takes all room but `leave` bytes."""
        room = os.statvfs(self.folder)
        with open(self._filler, "wb") as file:
            size = room.f_bavail * room.f_frsize - leave
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)

    def clear(self):
        self._filler.unlink(missing_ok=True)

    def close(self):
        if self.small:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
            self.small = False
