"""`coppice tune`: real workers on a file of its own, figures that fit the task, and nothing left behind."""

import json
import os
import signal
import subprocess

import pytest

from support import COPPICE, DRILL, processes
from support.command import Command
from support.waiting import until


@pytest.fixture
def place(folder):
    path = folder / "tmp"
    path.mkdir()
    return path


@pytest.fixture
def tune(place):
    # A broker that nobody could reach: it must not matter.
    command = Command({"COPPICE_BROKER_URL": "redis://127.0.0.1:1/0", "COPPICE_CONFIG": "/nowhere", "TMPDIR": str(place)})

    def run(*flags, app=DRILL, timeout=60):
        return command.run("tune", "-A", app, *flags, timeout=timeout)

    run.environment = command.environment
    return run


QUICK = ("--concurrency", "1,2", "--prefetch", "2", "--rounds", "1", "--seconds", "0.5")


def test_the_figures_fit_the_task_and_nothing_is_left(tune, place):
    done = tune("--task", "drill.sleep", "--args", "[0.02]", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["v"] == 1 and told["task"] == "drill.sleep" and told["processors"] >= 1
    one, two = told["settings"]
    assert (one["concurrency"], two["concurrency"], one["prefetch_multiplier"]) == (1, 2, 2)
    # One sleeper can't do more than 50 a second.
    assert 10 < one["tasks_per_second"] < 51 and one["tasks_per_second"] * 1.3 < two["tasks_per_second"] < 101
    for setting in told["settings"]:
        assert 0.019 < setting["run_seconds"]["p50"] <= setting["run_seconds"]["p95"]
        assert 0.019 < setting["latency_seconds"]["p50"] <= setting["latency_seconds"]["p95"]
        assert 0 < setting["processors"] < 1.5 and 1 << 20 < setting["child_bytes"] < 1 << 30 and len(setting["rounds"]) == 1
    assert told["fastest"]["concurrency"] == told["recommended"]["concurrency"] == 2
    assert list(place.iterdir()) == []


def test_a_table_and_a_recommendation_in_words(tune, place):
    done = tune("--task", "drill.add", "--kwargs", '{"x": 1, "y": 2}', "--concurrency", "1", "--prefetch", "1,4", "--rounds", "1", "--count", "60")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["CHILDREN", "PREFETCH", "TASKS/S"] and [line.split()[:2] for line in lines[1:3]] == [["1", "1"], ["1", "4"]]
    assert "--concurrency 1 --prefetch-multiplier" in lines[4] and "tasks/s" in lines[4]
    # Nobody watches: no bar.
    assert done.stderr == ""


def test_a_units_environment_is_not_taken_and_the_middle_of_two_rounds_is_between_them(tune):
    # A worker that took it would not start.
    tune.environment["DATETIME_TIMEZONE"] = "Nowhere/Land"
    done = tune("--task", "drill.add", "--args", "[1, 2]", "--concurrency", "1", "--prefetch", "1", "--rounds", "2", "--count", "60", "--json")
    assert done.returncode == 0, done.stderr
    [setting] = json.loads(done.stdout)["settings"]
    assert setting["tasks_per_second"] == pytest.approx(sum(setting["rounds"]) / 2)


def test_a_task_that_fails_or_is_not_there_is_told(tune, place):
    done = tune("--task", "drill.fail", "--args", '["boom"]', *QUICK)
    assert done.returncode == 1 and "ValueError: boom" in done.stderr and done.stdout == ""
    done = tune("--task", "no.such.task", *QUICK)
    assert done.returncode == 1 and "NotRegistered" in done.stderr and "no.such.task" in done.stderr
    assert list(place.iterdir()) == []


def test_a_worker_that_can_t_run_is_told(tune, place, folder):
    path = folder / "worker"
    path.write_bytes(b"\x00 this is no program")
    os.chmod(path, 0o755)
    done = tune("--task", "t", app=path)
    assert done.returncode == 1 and "the worker has ended by itself" in done.stderr and str(path) in done.stderr
    assert tune("--task", "t", app=folder / "nothing").returncode == 2
    assert list(place.iterdir()) == []


def test_the_flags_are_checked(tune):
    for flags in (
        ("--concurrency", "0"), ("--concurrency", "1,,2"), ("--prefetch", "x"), ("--count", "0"), ("--seconds", "-1"), ("--rounds", "0"),
        ("--count", "5", "--seconds", "1"), ("--args", "{}"), ("--kwargs", "[]"), ("--args", "["),
    ):  # fmt: skip
        done = tune("--task", "drill.add", *flags)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, (flags, done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_an_interrupted_one_leaves_nothing(tune, place, number):
    process = subprocess.Popen(
        [COPPICE, "tune", "-A", DRILL, "--task", "drill.sleep", "--args", "[60]"], env=tune.environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
    [master] = until(lambda: processes.children(process.pid), what="the master")
    [child] = until(lambda: processes.children(master), what="its child")
    process.send_signal(number)
    output, errors = process.communicate(timeout=15)
    assert process.returncode == 128 + number and b"interrupted" in errors and output == b""
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (master, child)), what="their end")
    assert list(place.iterdir()) == []
