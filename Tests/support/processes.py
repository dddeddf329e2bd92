"""Processes as the kernel tells of them."""

import os
from pathlib import Path


def _stat(pid):
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may hold anything, parentheses too.
    return text[text.rindex(")") + 2 :].split()


def state(pid):
    """R, S, D, T, Z …; None when there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else None


def alive(pid):
    """Running or sleeping, not merely waiting to be reaped."""
    return state(pid) not in (None, "Z", "X")


def parent(pid):
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def children(pid):
    """Living children, oldest first."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(entry)
            if fields and int(fields[1]) == pid and fields[0] not in "ZX":
                found.append((int(fields[19]), int(entry)))
    return [number for _, number in sorted(found)]


def threads(pid):
    return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]


def descriptors(pid):
    """number: what it points to"""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            pass
    return found


def environment(pid):
    items = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(item.split("=", 1) for item in items if "=" in item)


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()


def private_memory(pid):
    """Private_Clean + Private_Dirty in bytes."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(pid):
    """User and system time of all its threads so far, to the nanosecond; ended threads' time is not in it."""
    total = 0
    for thread in threads(pid):
        total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


def switches(pid):
    """How often its main thread has gone to sleep so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError("no such count")


def limits(pid):
    """(soft, hard) number of open files"""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.split()[3:5]
            return int(soft), int(hard)
    raise AssertionError("no such limit")
