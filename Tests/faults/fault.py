"""One row: what is done, what is promised, and the bounds that the promise sets."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    victim: str
    name: str
    promise: str
    harm: Callable
    """Does it to a scene, between its `begins` and `ends`."""
    seconds: float
    """Until all is normal, at most."""
    replaced: int = 1
    """How many children must be others afterwards; 0: none may be."""
    again: int = 0
    """Late tasks that may run twice: those that the victims ran. No early one may."""
    told: int = 0
    """Early tasks that may end as a WorkerLostError: likewise."""
    early_again: int = 0
    """Early tasks that may run twice: those whose start was not written yet when the master died."""
    quick: bool = False
    """Whether the short form has it."""
    as_nobody: bool = False
    """Whether the master runs as a user whose processes are counted: root's are not."""
    flags: tuple = ()
    """The worker's, beside what every one gets."""
    logs_to_disk: bool = False
    """Whether the master's log is a file on a small disk."""
    on: tuple = ("redis", "sqlite")
    """The brokers that it is done to, or by: names of `servers.ALL`."""

    @property
    def title(self):
        return f"{self.victim}: {self.name}"

    @property
    def is_refusal(self):
        """Whether the broker does it: these rows have a table of their own."""
        return self.victim == "broker"
