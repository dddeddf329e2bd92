"""The judge of `make faults` must be able to condemn: each promise broken once, on a ledger made by hand."""

import time
from datetime import datetime, timezone

import pytest

from chaos.ledger import Run
from chaos.producers import EARLY, LATE
from faults import table
from faults.fault import Fault
from faults.load import Sent
from faults.verdict import judge

SECOND = 1_000_000_000
NOW = time.monotonic_ns()
FAULT = Fault("child", "made up", "nothing", harm=None, again=1, told=1, seconds=2)
SUCCESS = {"status": "SUCCESS", "result": 0}


def lost(after=0.0):
    """The verdict of a task that was told lost so many seconds after the fault."""
    wall = time.time() - (time.monotonic_ns() - NOW) / 1e9 + after
    return {"status": "FAILURE", "result": {"exc_type": "WorkerLostError"}, "date_done": datetime.fromtimestamp(wall, timezone.utc).isoformat()}


def ran(id, start=0.0, end=0.1, retries=0):
    """`start` and `end` in seconds after the fault."""
    return Run(id, retries, 1, 2, NOW + int(start * SECOND), None if end is None else NOW + int(end * SECOND))


def verdict(task, runs, record, *, culprits=None, records=None, ready=(), sent=0.0):
    each = Sent("id", task, 0.1, NOW + int(sent * SECOND))
    return judge([each], culprits or {}, runs, ({"id": record} if record else {}) | (records or {}), [NOW + int(at * SECOND) for at in ready], NOW)


def test_what_ran_once_and_has_its_verdict_is_as_promised():
    found = verdict(EARLY, [ran("id")], SUCCESS)
    assert found.broken(FAULT) == [] and found.seconds == 0


@pytest.mark.parametrize("runs, record", [([], SUCCESS), ([], None), ([ran("id")], None), ([ran("id")], {"status": "STARTED", "result": {}})])
def test_what_never_ran_or_has_no_verdict_is_lost(runs, record):
    found = verdict(LATE, runs, record)
    assert len(found.lost) == 1 and found.broken(FAULT)


def test_a_success_that_never_came_to_its_end_is_wrong():
    assert verdict(LATE, [ran("id", end=None)], SUCCESS).broken(FAULT)


def test_a_late_task_may_run_again_and_an_early_one_may_not():
    again = [ran("id", end=None), ran("id", 1.0, 1.1)]
    found = verdict(LATE, again, SUCCESS)
    assert found.again == 1 and found.broken(FAULT) == [] and found.seconds == pytest.approx(1.0)
    found = verdict(EARLY, again, SUCCESS)
    assert found.early_again == 1 and found.broken(FAULT)


def test_a_retry_is_no_second_run():
    assert verdict(EARLY, [ran("id"), ran("id", 0.2, 0.3, retries=1)], SUCCESS).early_again == 0


def test_only_an_early_task_may_be_told_lost_and_no_more_than_were_hit():
    found = verdict(EARLY, [ran("id", end=None)], lost(0.5))
    assert found.told == 1 and found.broken(FAULT) == [] and found.seconds == pytest.approx(0.5, abs=0.2)
    assert found.broken(Fault("child", "made up", "nothing", harm=None, told=0, seconds=2))
    assert verdict(LATE, [ran("id", end=None)], lost()).broken(FAULT)


def test_another_failure_than_the_faults_is_wrong():
    assert verdict(EARLY, [ran("id")], {"status": "FAILURE", "result": {"exc_type": "ValueError"}}).broken(FAULT)


def test_normal_is_when_nothing_waits_and_all_are_ready():
    assert verdict(EARLY, [ran("id", 0.4, 0.5)], SUCCESS).seconds == 0
    found = verdict(EARLY, [ran("id", 3.0, 3.1)], SUCCESS)
    assert found.seconds == pytest.approx(3.0) and found.broken(FAULT)
    found = verdict(EARLY, [ran("id")], SUCCESS, ready=(-5.0, 2.5))
    assert found.seconds == pytest.approx(2.5) and found.broken(FAULT)


def test_who_did_it_must_end_as_it_has_to():
    ends = {"it": (("FAILURE", "WorkerLostError"),)}
    assert verdict(EARLY, [ran("id")], SUCCESS, culprits=ends, records={"it": lost()}).broken(FAULT) == []
    assert verdict(EARLY, [ran("id")], SUCCESS, culprits=ends, records={"it": SUCCESS}).broken(FAULT)
    assert verdict(EARLY, [ran("id")], SUCCESS, culprits=ends).lost


def test_the_tables_stand_between_their_marks(tmp_path, monkeypatch):
    document = tmp_path / "doc.md"
    document.write_text("before\n\n" + "".join(f"{place}\n\nyesterday\n\n{table.END}\n\nafter\n" for place in (table.FAULTS, table.REFUSALS)))
    monkeypatch.setattr(table, "DOCUMENT", document)
    found = verdict(LATE, [ran("id", end=None), ran("id", 1.0, 1.1)], SUCCESS)
    refusal = Fault("broker", "a right", "it waits", harm=None, seconds=2, on=("redis user",))
    culprit = verdict(EARLY, [ran("id")], SUCCESS, culprits={"it": ("FAILURE",)}, records={"it": lost()})
    table.write(table.markdown([(FAULT, {"redis": found, "sqlite": verdict(EARLY, [ran("id")], SUCCESS)}), (refusal, {"redis user": culprit})]))
    text = document.read_text()
    assert "| child: made up | nothing | 0 / 0 | 1 late / 0 | 0 / 0 | 1.0 / 0.00 |" in text
    assert "| Redis | a right | it waits | FAILURE WorkerLostError | 0 | 0 | 0 | 0.00 |" in text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "yesterday" not in text
