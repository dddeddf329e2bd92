"""The judge of `make chaos`, on ledgers made by hand: it must not be lenient."""

from types import SimpleNamespace

import pytest

from chaos.journal import Event
from chaos.ledger import Run, read
from chaos.producers import EARLY, LATE, Sent
from chaos.verdict import SECOND, Judge

SUCCESS = {"status": "SUCCESS", "result": 0}
LOST = {"status": "FAILURE", "result": {"exc_type": "WorkerLostError"}}


def run(start, end=None, pid=11, master=10, retries=0):
    at = lambda seconds: None if seconds is None else int(seconds * SECOND)  # noqa: E731
    return Run("x", retries, pid, master, at(start), at(end))


def event(kind, start, end=None, pids=()):
    return Event(kind, int(start * SECOND), int((start if end is None else end) * SECOND), pids=list(pids))


def judge(runs, record=SUCCESS, events=(), task=LATE, times=0):
    sent = [Sent("x", task, 0.0, times)]
    return Judge(sent, runs, {"x": record} if record else {}, SimpleNamespace(events=list(events))).judge()


def test_one_run_with_its_result_is_right():
    assert judge([run(1, 2)]).passed


def test_an_id_that_never_ran_fails_even_with_a_verdict():
    assert judge([]).never_ran and not judge([]).passed
    assert judge([], LOST).never_ran


def test_a_run_without_a_result_fails():
    assert judge([run(1, 2)], None).no_result
    assert judge([run(1, 2)], {"status": "STARTED", "result": {}}).no_result


@pytest.mark.parametrize("events", [
    [],
    [event("child killed", 1.5, pids=[99])],
    [event("child killed", 0.5, pids=[11])],
    # Long after its outcome was written.
    [event("master killed", 9, pids=[10])],
    [event("master stopped", 1.5, 3, [10])],
    [event("broker killed", 1.5, 2)],
    [event("connections reset", 1.5, pids=[10])],
])  # fmt: skip
def test_a_second_run_without_a_reason_fails(events):
    verdict = judge([run(1, 2), run(10, 11, pid=21, master=20)], events=events)
    assert len(verdict.unexplained) == 1 and not verdict.passed


@pytest.mark.parametrize(("events", "reason"), [
    ([event("child killed", 1.5, pids=[11])], "child killed"),
    ([event("master gone for 11 s", 1.5, pids=[10, 11])], "master killed"),
    ([event("master stopped beyond its lease", 1.5, 9, [10])], "holder paused beyond its lease"),
])  # fmt: skip
def test_a_second_run_of_a_late_task_with_a_reason_counts(events, reason):
    verdict = judge([run(1), run(7, 8, pid=21, master=20)], events=events)
    assert verdict.passed and verdict.again == {reason: 1}


def test_an_outcome_that_waits_for_the_broker_may_die_with_its_master():
    away, killed = event("broker stopped", 1.5, 6), event("master killed", 7, pids=[10])
    assert judge([run(1, 2), run(12, 13, pid=21, master=20)], events=[away, killed]).passed
    assert not judge([run(1, 2), run(12, 13, pid=21, master=20)], events=[killed]).passed


def test_an_early_task_does_not_run_again_because_it_was_killed_while_it_ran():
    for killed in (event("child killed", 1.001, pids=[11]), event("master killed", 3, pids=[10])):
        verdict = judge([run(1), run(4, 5, pid=12)], events=[killed], task=EARLY)
        assert len(verdict.unexplained) == 1


def test_an_early_task_may_run_again_if_its_start_was_not_yet_written():
    killed = event("master killed", 1.001, pids=[10])
    assert judge([run(1), run(7, 8, pid=21, master=20)], events=[killed], task=EARLY).passed


def test_a_killed_early_task_has_a_worker_lost_error_and_no_other_verdict():
    killed = event("child killed", 3, pids=[11])
    assert judge([run(1)], LOST, [killed], task=EARLY).passed
    assert judge([run(1)], SUCCESS, [killed], task=EARLY).wrong
    assert judge([run(1)], LOST, [], task=EARLY).wrong


def test_a_late_task_fails_only_after_several_deaths():
    deaths = [event("child killed", 1.5, pids=[11]), event("child killed", 3.5, pids=[12]), event("child killed", 5.5, pids=[13])]
    runs = [run(1), run(3, pid=12), run(5, pid=13)]
    assert judge(runs, LOST, deaths).passed
    assert judge(runs[:1], LOST, deaths[:1]).wrong


def test_an_attempt_needs_the_end_of_the_one_before():
    assert judge([run(1, 2), run(3, 4, retries=1)], times=1).passed
    assert judge([run(1), run(3, 4, retries=1)], times=1).wrong


def test_a_slow_take_over_fails():
    killed = event("master killed", 2, pids=[10, 11])
    assert judge([run(1), run(11, 12, pid=21, master=20)], events=[killed]).passed
    late = judge([run(1), run(13, 14, pid=21, master=20)], events=[killed])
    assert late.take_over == 11 and not late.passed


def test_the_ledgers_files_are_read(tmp_path):
    (tmp_path / "11").write_text("a 0 start 11 10 1\na 0 end 11 10 2\nb 1 start 11 10 3\n")
    (tmp_path / "12").write_text("c 0 start 12 10 2\n")
    assert read(tmp_path) == [Run("a", 0, 11, 10, 1, 2), Run("c", 0, 12, 10, 2), Run("b", 1, 11, 10, 3)]
