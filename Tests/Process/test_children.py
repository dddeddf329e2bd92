"""A child may die in any way: its task gets its verdict, its slot a successor, and nobody else notices."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from billiard.exceptions import WorkerLostError

from support import EXAMPLE, processes
from support.envelope import record
from support.waiting import until


def test_a_killed_child_ends_its_task_as_worker_lost(worker, app, results):
    sent = app.send_task("drill.sleep", (30,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGKILL)
    with pytest.raises(WorkerLostError) as raised:
        sent.get(timeout=10)
    assert re.match(r"Worker exited prematurely: signal 9 \(SIGKILL\) Job: \d+\. Sent by nobody here", raised.value.args[0])


def test_a_killed_child_is_replaced_at_once(worker):
    worker.all_ready()
    victim = worker.children[0]
    ready = len(worker.log.find(r"is ready"))
    killed_at = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    worker.log.wait(r"is ready", after=ready)
    assert time.monotonic() - killed_at < 0.5
    assert len(worker.children) == 2 and victim not in worker.children


def test_new_children_that_somebody_kills_are_no_failed_starts(redis_worker):
    worker = redis_worker(concurrency=1)
    for dead in range(10):
        worker.all_ready(1 + dead)
        os.kill(worker.children[0], signal.SIGKILL)
    worker.all_ready(11)
    assert not worker.log.find("next attempt")


def test_an_idle_childs_death_costs_no_task(worker, app):
    for dead in range(5):
        worker.all_ready(2 + dead)
        os.kill(worker.children[0], signal.SIGKILL)
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_task_that_must_not_be_lost_runs_again(worker, app, results):
    sent = app.send_task("drill.late", (0.5,))
    first = results.wait(sent.id, "STARTED")["result"]["pid"]
    os.kill(first, signal.SIGKILL)
    second = sent.get(timeout=10)
    assert second != first
    results.wait(sent.id, "SUCCESS")
    assert results.statuses(sent.id) == ["STARTED", "STARTED", "SUCCESS"]


@pytest.mark.parametrize("code", [0, 3])
def test_a_task_that_exits_is_a_lost_worker(worker, app, code):
    with pytest.raises(WorkerLostError, match=rf"^Worker exited prematurely: exitcode {code} Job: \d+\. It ended itself\. "):
        app.send_task("drill.exit", (code,)).get(timeout=10)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_task_that_dies_of_a_signal_is_a_lost_worker(worker, app, number):
    with pytest.raises(WorkerLostError, match=rf"^Worker exited prematurely: signal {int(number)} \({number.name}\) Job: \d+\. "):
        app.send_task("drill.kill", (int(number),)).get(timeout=10)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_tasks_behind_the_lethal_one_are_not_lost(worker, app):
    sent = []
    for n in range(60):
        if n % 20 == 10:
            app.send_task("drill.kill", (9,))
        sent.append(app.send_task("drill.add", (n, 1)))
    assert [result.get(timeout=20) for result in sent] == [n + 1 for n in range(60)]


def test_a_grandchild_that_holds_the_pipes_does_not_hold_the_task(worker, app, results):
    sent = app.send_task("drill.fork", (20,))
    sent_at = time.monotonic()
    results.wait(sent.id, "SUCCESS", "FAILURE", timeout=8)
    assert time.monotonic() - sent_at < 8
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_killed_childs_grandchild_does_not_delay_the_verdict(redis_worker, app, results):
    worker = redis_worker(concurrency=1).ready()
    app.send_task("drill.fork", (20,)).get(timeout=10, propagate=False)
    sent = app.send_task("drill.sleep", (30,))
    os.kill(results.wait(sent.id, "STARTED")["result"]["pid"], signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        sent.get(timeout=8)
    assert app.send_task("drill.add", (2, 3)).get(timeout=8) == 5
    assert len(worker.children) >= 1


def test_a_flood_on_standard_output_stops_nothing(worker, app):
    flood = app.send_task("drill.flood", (20_000_000,))
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    flood.get(timeout=30)
    assert worker.running


def test_a_stopped_idle_child_does_not_hold_up_the_others(worker, app):
    worker.all_ready()
    stopped = worker.children[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        sent = [app.send_task("drill.add", (n, 1)) for n in range(20)]
        # What had been written to the stopped one comes back when it is found silent and replaced.
        assert [result.get(timeout=40) for result in sent] == [n + 1 for n in range(20)]
    finally:
        if processes.alive(stopped):
            os.kill(stopped, signal.SIGCONT)


def test_every_child_has_the_protocols_descriptors_and_no_other(worker, app):
    worker.all_ready()
    app.send_task("drill.add", (2, 3)).get(timeout=10)
    for child in worker.children:
        found = processes.descriptors(child)
        assert set(found) == {0, 1, 2, 3, 4}, found
        assert found[0] == "/dev/null"
        assert all(found[number].startswith("pipe:") for number in (1, 2, 3, 4)), found


def test_a_hundred_children_and_more_are_all_ready(redis_worker):
    worker = redis_worker(app=EXAMPLE, concurrency=125).all_ready(125)
    assert len(worker.children) == 125
    assert not worker.log.find("ERROR")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="the master can be traced by root alone")
def test_a_child_that_can_not_be_watched_is_not_left_behind(worker):
    worker.all_ready()
    # The kernel has no room for one watch: four calls end those of the dead child, the next two begin those of its successor.
    tracer = subprocess.Popen(
        ["strace", "-p", str(worker.pid), "-e", "inject=epoll_ctl:error=ENOSPC:when=6", "-o", "/dev/null"], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in tracer.stderr.readline()
        os.kill(worker.children[0], signal.SIGKILL)
        worker.log.wait("can't start a child: sd_event_add_io")
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    worker.log.wait(r"is ready", after=2)
    assert len(worker.children) == 2
    assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if processes.parent(pid) == worker.pid and processes.state(pid) == "Z"]  # fmt: skip


def test_every_child_leads_its_own_process_group(worker):
    worker.all_ready()
    for child in worker.children:
        assert os.getpgid(child) == child


def test_a_child_that_breaks_the_protocol_is_replaced_and_the_master_lives(redis_worker, app, python_worker):
    worker = redis_worker(app=python_worker("""
def garble(args, kwargs):
    os.write(UP, b"\\xff" * 64)
    time.sleep(30)

TASKS["bad.frame"] = garble
TASKS["good.add"] = lambda args, kwargs: sum(args)
""")).ready()
    with pytest.raises(WorkerLostError):
        app.send_task("bad.frame").get(timeout=10)
    assert app.send_task("good.add", (2, 3)).get(timeout=10) == 5
    assert worker.running


def test_a_child_may_not_speak_of_another_childs_task(redis_worker, app, results, redis, python_worker):
    worker = redis_worker(app=python_worker("""
def forge(args, kwargs):
    for assignment in range(1, 50):
        succeeded(assignment, "forged")
    time.sleep(30)

TASKS["bad.forge"] = forge
TASKS["good.sleep"] = lambda args, kwargs: time.sleep(args[0])
""")).all_ready()
    honest = app.send_task("good.sleep", (1.5,))
    results.wait(honest.id, "STARTED")
    app.send_task("bad.forge")
    assert honest.get(timeout=10) is None
    assert record(redis, honest.id)["result"] is None
    assert worker.running


def test_a_child_in_another_language_serves(redis_worker, app, python_worker):
    redis_worker(app=python_worker('TASKS["py.join"] = lambda args, kwargs: "-".join(args)\n')).ready()
    assert app.send_task("py.join", ("a", "b")).get(timeout=10) == "a-b"
