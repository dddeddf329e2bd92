"""The ledger held against what was sent, what is stored and what the killer did.

An id that ran more than once under one retry count needs a reason: its process or master was killed, or its master was stopped or cut
off for longer than a lease, after that run had started and before its outcome can have been written. Nothing else counts.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

SECOND = 1_000_000_000

KILLS = ("child killed", "master killed", "master gone for 11 s", "both masters killed")
MASTER_KILLS = KILLS[1:]
PAUSES = ("master stopped beyond its lease", "connections silent")
AWAY = ("broker killed", "broker stopped", "broker stopped for 10 s", "disk full")
CUTS = ("connections closed by the broker", "connections reset", "connections silent", *AWAY)

# How long an outcome, or the start of an early task, may take to be written when nothing is wrong; and after a trouble's end, until
# there is a new connection.
WRITTEN, RECOVERED = SECOND, 10 * SECOND
# A take-over is timed only if no other trouble had been for so long when the master was killed.
CALM = 2 * SECOND
# Deaths at which a late task is set aside; the ledger does not see an attempt that was killed before its first line.
DEATHS_SEEN = 2


@dataclass
class Verdict:
    never_ran: list = field(default_factory=list)
    no_result: list = field(default_factory=list)
    unexplained: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    """Verdicts that the ledger contradicts."""
    again: Counter = field(default_factory=Counter)
    """Further runs of one id under one retry count, by their reason."""
    counts: Counter = field(default_factory=Counter)
    take_over: float = 0.0
    """Longest time, in seconds, from a master's kill until another had begun its late task or stored the verdict of its early one; of
    the kills during which nothing else was wrong."""
    taken_over: int = 0

    @property
    def passed(self):
        return not (self.never_ran or self.no_result or self.unexplained or self.wrong) and self.take_over < 10


class Judge:
    def __init__(self, sent, runs, records, journal):
        self._sent = {each.id: each for each in sent}
        self._records, self._events = records, journal.events
        self._runs = {}
        for run in runs:
            self._runs.setdefault(run.id, []).append(run)
        self._troubles = sorted((event for event in self._events if event.kind in CUTS), key=lambda event: event.start)

    def judge(self):
        verdict = Verdict()
        for id, each in self._sent.items():
            runs, record = self._runs.get(id, []), self._records.get(id)
            if not runs:
                # A verdict without a run is right only if it says so: set aside after deaths before its first line.
                verdict.never_ran.append(f"{id} {each.task}: {record}")
                continue
            if not final(record):
                verdict.no_result.append(f"{id} {each.task}: {record}; ran " + "; ".join(map(str, runs)))
                continue
            self._check_result(each, runs, record, verdict)
        for id, runs in self._runs.items():
            self._check_repeats(id, runs, verdict)
        verdict.counts["executions"] = sum(map(len, self._runs.values()))
        verdict.counts["runs cut short"] = sum(run.end is None for runs in self._runs.values() for run in runs)
        self._measure_take_over(verdict)
        return verdict

    def _open_until(self, moment):
        """When, at the latest, what happened at `moment` was written."""
        until = moment + WRITTEN
        for event in self._troubles:
            if event.start <= until and event.over + RECOVERED >= until:
                until = event.over + RECOVERED
        for event in self._events:
            if event.kind.startswith("master stopped") and event.start <= until <= event.over + RECOVERED:
                until = event.over + RECOVERED
        return until

    def _events_of(self, run, kinds, until):
        """What befell the run's process or master after its start."""
        return [event for event in self._events if event.kind in kinds and (run.pid in event.pids or run.master in event.pids)
                and run.start <= event.over and event.start <= until]  # fmt: skip

    def _reason(self, run, again):
        """Why `again` followed `run`, None if nothing accounts for it."""
        open_until = min(self._open_until(run.end), again.start) if run.end else again.start
        kills = self._events_of(run, KILLS, open_until)
        if kills:
            return kills[0].kind if kills[0].kind == "child killed" else "master killed"
        pauses = self._events_of(run, PAUSES, open_until)
        if pauses:
            return "holder paused beyond its lease"
        if self._ran_what_it_had_lost(again):
            return "by a holder that had been paused beyond its lease"
        return None

    def _ran_what_it_had_lost(self, run):
        """Whether the run's master held the message from before a pause in which another one was given it."""
        return any(event.kind in PAUSES and run.master in event.pids and event.start <= run.start <= event.over + RECOVERED
                   for event in self._events)  # fmt: skip

    def _early_reason(self, run, again):
        """An early task runs again only if its master died before the start was written."""
        if self._events_of(run, MASTER_KILLS + PAUSES, self._open_until(run.start)):
            return "early: before its start was written"
        if self._ran_what_it_had_lost(again):
            return "by a holder that had been paused beyond its lease"
        return None

    def _check_repeats(self, id, runs, verdict):
        sent = self._sent.get(id)
        attempts = {}
        for run in runs:
            attempts.setdefault(run.retries, []).append(run)
        for retries, same in sorted(attempts.items()):
            if retries and not any(run.end for run in attempts.get(retries - 1, [])):
                verdict.wrong.append(f"{id}: attempt {retries} without an end of the one before")
            for run, again in zip(same, same[1:]):
                # Of an id whose send was not acknowledged the kind is not known: the stricter rule would be a guess.
                reason = self._early_reason(run, again) if sent and not sent.late else self._reason(run, again)
                if reason:
                    verdict.again[reason] += 1
                else:
                    verdict.unexplained.append(f"{id} {sent.task if sent else '(unsure)'}: {run}, then {again}")

    def _check_result(self, each, runs, record, verdict):
        status, error = record["status"], (record.get("result") or {}).get("exc_type") if record["status"] == "FAILURE" else None
        verdict.counts[f"{'late' if each.late else 'early'} {status}" + (f" {error}" if error else "")] += 1
        last = [run for run in runs if run.retries == each.times]
        if status == "SUCCESS":
            if not any(run.end for run in last):
                verdict.wrong.append(f"{each.id} {each.task}: SUCCESS without an end: {'; '.join(map(str, runs))}")
            return
        harmed = [run for run in runs if self._events_of(run, KILLS + PAUSES, self._open_until(run.end or run.start + 60 * SECOND))]
        enough = len(harmed) >= (DEATHS_SEEN if each.late else 1)
        if error != "WorkerLostError" or not enough:
            verdict.wrong.append(f"{each.id} {each.task}: {status} {record.get('result')}: {'; '.join(map(str, runs))}")

    def _measure_take_over(self, verdict):
        killed_before = {pid for event in self._events if event.kind == "child killed" for pid in event.pids}
        for event in self._events:
            if event.kind not in ("master killed", "master gone for 11 s"):
                continue
            others = [other for other in self._events if other is not event and other.kind != "child killed"]
            if any(other.start < event.start + 10 * SECOND and event.start < other.over + CALM for other in others):
                continue
            for id, runs in self._runs.items():
                sent = self._sent.get(id)
                for index, run in enumerate(runs):
                    if sent and run.end is None and run.master in event.pids and run.start < event.start and run.pid not in killed_before:
                        later = [again for again in runs[index + 1 :] if again.retries == run.retries]
                        if sent.late and later:
                            took = (later[0].start - event.start) / SECOND
                        elif not sent.late and not later and self._records.get(id, {}).get("date_done"):
                            took = datetime.fromisoformat(self._records[id]["date_done"]).timestamp() - event.wall
                        else:
                            continue
                        verdict.taken_over += 1
                        verdict.take_over = max(verdict.take_over, took)


def final(record):
    return record is not None and record["status"] in ("SUCCESS", "FAILURE", "REVOKED", "IGNORED")
