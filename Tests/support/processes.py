"""Processes as the kernel tells of them."""

import contextlib
import ctypes
import os
import threading
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


def start_time(pid):
    """In clock ticks from the machine's start."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


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


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_O_TRACEEXIT = 17, 0x4206, 0x40


def held_at_exit(pid):
    """While this lasts the process does not end, not even by SIGKILL, as one that sleeps uninterruptibly: a tracer holds it in the kernel's
    exit. Signals that may be survived do not reach it. Wants root, or a kernel that lets a user's processes trace each other."""
    return _traced(pid, PTRACE_O_TRACEEXIT)


def held_as_zombie(pid):
    """While this lasts the process, once it has ended, can be reaped by nobody: a tracer does not ask for its end."""
    return _traced(pid, 0)


@contextlib.contextmanager
def _traced(pid, options):
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    held, release, failure = threading.Event(), threading.Event(), []

    def trace():
        if ptrace(PTRACE_SEIZE, pid, None, options) != 0:
            failure.append(OSError(ctypes.get_errno(), f"ptrace of {pid}"))
        held.set()
        release.wait()
        # It ends by the signal that it was sent. A zombie, or one that has been sent none, is let go by this thread's end.
        ptrace(PTRACE_DETACH, pid, None, None)

    thread = threading.Thread(target=trace)
    thread.start()
    held.wait()
    try:
        if failure:
            raise failure[0]
        yield
    finally:
        release.set()
        thread.join()
