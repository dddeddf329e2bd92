"""What was sent, held against the ledger, the stored results and the promise."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from chaos.verdict import final

# A task that waits for longer than this between its send and its start was held up, in seconds.
HELD_UP = 0.5


@dataclass
class Verdict:
    tasks: int = 0
    lost: list = field(default_factory=list)
    """Acknowledged sends that never ran, or never got a final result."""
    again: int = 0
    early_again: int = 0
    told: int = 0
    """Early tasks that had begun, and were told lost."""
    wrong: list = field(default_factory=list)
    """Results that the ledger contradicts, or that the fault does not account for."""
    ends: list = field(default_factory=list)
    """How those that did it ended."""
    seconds: float = 0.0
    """From the fault, or its end, to the last task that it held up, ran again or ended, and the last child that became ready."""

    def broken(self, fault):
        """What is not as promised, in words."""
        found = [f"lost: {each}" for each in self.lost] + self.wrong
        for what, count, most in (("late tasks ran twice", self.again, fault.again), ("early tasks ran twice", self.early_again, fault.early_again),
                                  ("early tasks were told lost", self.told, fault.told)):  # fmt: skip
            if count > most:
                found.append(f"{count} {what}; at most {most} may")
        if self.seconds > fault.seconds:
            found.append(f"{self.seconds:.1f} s until normal; at most {fault.seconds:g} s may pass")
        return found


def judge(sent, culprits, runs, records, ready_times, since):
    """`since`: when the fault happened, or ended if it lasted; nanoseconds of the monotonic clock."""
    verdict = Verdict(tasks=len(sent))
    of = {}
    for run in runs:
        of.setdefault(run.id, []).append(run)
    moments = [since, *ready_times]
    for each in sent:
        _judge(each, of.get(each.id, []), records.get(each.id), verdict, moments)
    for id, ends in culprits.items():
        record = records.get(id)
        if not final(record):
            verdict.lost.append(f"{id}, which did it: {record}")
        elif _end(record) in ends or record["status"] in ends:
            verdict.ends.append(" ".join(filter(None, _end(record))))
        else:
            verdict.wrong.append(f"{id}, which did it: {record['status']} {record.get('result')}")
    verdict.seconds = (max(moments) - since) / 1e9
    return verdict


def _end(record):
    return record["status"], record["result"]["exc_type"] if record["status"] == "FAILURE" else None


def _judge(each, runs, record, verdict, moments):
    words = f"{each.id} {each.task} of {each.seconds} s: {record}; ran " + ("; ".join(map(str, runs)) or "never")
    if not runs or not final(record):
        verdict.lost.append(words)
        return
    if (runs[0].start - each.at) / 1e9 > HELD_UP:
        moments.append(runs[0].start)
    attempts = Counter(run.retries for run in runs)
    if any(count > 1 for count in attempts.values()):
        verdict.again += each.late
        verdict.early_again += not each.late
        moments.append(runs[-1].start)
    if record["status"] == "SUCCESS":
        if not any(run.end for run in runs):
            verdict.wrong.append("SUCCESS without an end: " + words)
    elif _end(record) == ("FAILURE", "WorkerLostError") and not each.late:
        verdict.told += 1
        wall = datetime.fromisoformat(record["date_done"]).timestamp()
        moments.append(time.monotonic_ns() - int((time.time() - wall) * 1e9))
    else:
        verdict.wrong.append("an end that the fault does not account for: " + words)
