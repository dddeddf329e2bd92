"""Every death is explained: how, by whom, what it had used, and its last words."""

import json
import os
import re
import signal

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from support.envelope import record

FIGURES = re.compile(
    r"The task had run for ([\d.]+) s, its process for ([\d.]+) s, with ([\d.]+) s of CPU time and (less than )?([\d.]+) MB of memory")


def lost(sent):
    with pytest.raises(WorkerLostError) as raised:
        sent.get(timeout=10)
    return raised.value.args[0]


def test_a_crash_is_told_with_its_time_and_memory(worker, app):
    text = lost(app.send_task("drill.crash", (0.6, 120)))
    assert "(SIGILL)" in text or "(SIGTRAP)" in text
    assert "It crashed." in text
    ran, lived, cpu, bound, memory = FIGURES.search(text).groups()
    assert 0.3 <= float(ran) <= float(lived) < 10
    assert 0.6 <= float(cpu) < 1
    assert bound is None and 120 <= float(memory) < 200
    worker.log.wait(r"ERROR/MainProcess\] Child \d \(pid \d+\) exited with signal \d+ .*: it crashed; the task had run for .* MB of memory")


def test_memory_is_that_of_the_child_and_not_its_parents(worker, app, results):
    """The kernel's figure begins with the master's peak; it is given for what it is, or the child is looked at before it is killed."""
    sent = app.send_task("drill.sleep", (30,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGKILL)
    with open(f"/proc/{worker.pid}/status") as status:
        master = int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024
    bound, memory = FIGURES.search(lost(sent)).groups()[3:]
    assert 2 < float(memory) <= master + 5
    killed = app.send_task("drill.eat", (50, 30), time_limit=0.7)
    with pytest.raises(TimeLimitExceeded):
        killed.get(timeout=10)
    text = record(results._redis, killed.id)["traceback"]
    assert 50 <= float(re.search(r"([\d.]+) MB of memory at most", text).group(1)) < 100


def test_a_stranger_is_told_from_ourselves(worker, app, results):
    sent = app.send_task("drill.sleep", (30,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGKILL)
    text = lost(sent)
    assert "Sent by nobody here: by another's hand, or by the kernel for want of memory, which its log would tell." in text
    sent = app.send_task("drill.sleep", (30,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGHUP)
    assert "signal 1 (SIGHUP)" in (text := lost(sent)) and "Sent by nobody here." in text


def test_the_hard_limit_leaves_its_story_where_a_traceback_stands(worker, app, redis):
    sent = app.send_task("drill.spin", (30,), time_limit=0.5)
    with pytest.raises(TimeLimitExceeded) as raised:
        sent.get(timeout=10)
    assert raised.value.args == (0.5,)
    text = record(redis, sent.id)["traceback"]
    assert text.startswith("signal 9 (SIGKILL): killed at the hard time limit of 0.5 s; the task had run for 0.")
    assert "MB of memory at most" in text


def test_the_last_lines_on_standard_error_are_in_the_result(worker, app, redis):
    lines = [f"line {n} of the misery" for n in range(30)] + ["x" * 3000, "and ü"]
    sent = app.send_task("drill.lament", (lines, 0, int(signal.SIGABRT)))
    assert "It crashed." in lost(sent)
    told = record(redis, sent.id)["traceback"].splitlines()
    assert told[0] == "Last lines on standard error:"
    assert told[1:-2] == [f"  {line}" for line in lines[12:30]]
    assert told[-2] == "  " + "x" * 1024 + "…" and told[-1] == "  and ü"
    # The log has them twice: as they came, and with the death.
    worker.log.wait(r"WARNING/Child-\d\] drill\.lament\[.*\]: line 29 of the misery")
    worker.log.wait(r"^      line 29 of the misery")


def test_lines_of_an_earlier_task_are_told_of_the_child_that_wrote_them(redis_worker, app, redis):
    worker = redis_worker(concurrency=1).ready()
    app.send_task("drill.lament", (["one"], 0, 0)).get(timeout=10)
    app.send_task("drill.kill", (9,)).get(timeout=10, propagate=False)
    sent = app.send_task("drill.lament", (["two"], 0, int(signal.SIGKILL)))
    lost(sent)
    assert record(redis, sent.id)["traceback"] == "Last lines on standard error:\n  two\n"
    assert worker.running


def test_a_task_without_last_words_has_no_traceback(worker, app, redis):
    sent = app.send_task("drill.exit", (3,))
    assert re.match(r"Worker exited prematurely: exitcode 3 Job: \d+\. It ended itself\. The task had run for ", lost(sent))
    assert record(redis, sent.id)["traceback"] is None


def test_a_poison_pills_deaths_are_told_with_it(any_worker, broker, folder):
    worker = any_worker().ready()
    task = broker.command.call("drill.poison", str(folder / "starts"), "p", int(signal.SIGSEGV))
    failure = broker.command.failure(task)
    assert failure.count("signal 11 (SIGSEGV): it crashed; the task had run for ") == 3
    (letter,) = json.loads(broker.command.run("dead", "--json").stdout)["dead"]
    shown = broker.command.run("dead", "show", letter["id"])
    assert shown.stdout.count('"stderr": []') == 3, (letter, shown)
    assert worker.running


def test_what_another_task_has_said_is_not_told(redis_worker, app, python_worker):
    """The process is the same, and its words are another's: of a cause that is not this one's, too."""
    tasks = """
import os, signal
def say(args, kwargs):
    os.write(2, b"Fatal error: failed to allocate 5 bytes\\nanother's secret\\n")
def die(args, kwargs):
    os.write(2, b"its own word\\n")
    os.kill(os.getpid(), signal.SIGSEGV)
TASKS["say"] = say
TASKS["die"] = die
"""
    redis_worker(app=python_worker(tasks), concurrency=1).ready()
    app.send_task("say").get(timeout=10)
    sent = app.send_task("die")
    text = lost(sent)
    assert "It crashed." in text
    assert "its own word" in sent.traceback and "another's secret" not in sent.traceback
