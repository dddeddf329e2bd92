"""What drill-worker's witness tasks wrote down: one file a process, one line a start or an end."""

from dataclasses import dataclass


@dataclass
class Run:
    id: str
    retries: int
    pid: int
    master: int
    start: int
    end: int | None = None
    """Nanoseconds of the monotonic clock; None if it never came to its end."""

    def __str__(self):
        end = f"{(self.end - self.start) / 1e9:.3f} s" if self.end else "cut short"
        return f"attempt {self.retries} in {self.pid} of {self.master} at {self.start / 1e9:.3f} ({end})"


def read(folder):
    """All runs, in the order of their starts."""
    runs = []
    for path in folder.iterdir():
        last = None
        for line in path.read_text().splitlines():
            words = line.split(" ")
            # A kill can not cut a line short, a full disk could; the ledger's disk is not the one that is filled.
            id, retries, what, pid, master, at = words
            if what == "start":
                last = Run(id, int(retries), int(pid), int(master), int(at))
                runs.append(last)
            elif last and last.id == id:
                last.end = int(at)
    return sorted(runs, key=lambda run: run.start)
