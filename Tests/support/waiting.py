"""Waiting for what has no event of its own: the kernel's view of a process, a key in Redis."""

import time


def until(condition, timeout=10.0, what=None, every=0.005):
    """The first true value of `condition()`; fails with `what` (a text, or a function that makes one) after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"waited {timeout} s for {text or condition}")
        time.sleep(every)
