"""A small disk for the broker's data, which can be filled."""

import contextlib
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
        """Takes all room but `leave` bytes, also from whoever writes meanwhile."""
        with open(self._filler, "wb") as file:
            for _ in range(100):
                room = os.statvfs(self.folder)
                size = room.f_bavail * room.f_frsize - leave
                if size <= 0:
                    return
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)

    def clear(self):
        self._filler.unlink(missing_ok=True)

    def close(self):
        if self.small:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
            self.small = False
