"""The signals of docs/SIGNALS.md that do not end the node, quiet by command, and the two shutdowns with a time limit."""

import os
import pty
import re
import signal
import time

import pytest

from support import processes
from support.envelope import record
from support.waiting import until

STOPPING = "STOPPING=1"


def statuses(worker):
    return worker.notify.messages("STATUS=")


# More and fewer children


def test_ttin_and_ttou_add_and_remove_a_child(redis_worker, app):
    worker = redis_worker(concurrency=1).ready()
    for size in (2, 3):
        worker.signal(signal.SIGTTIN)
        until(lambda: len(worker.children) == size, what=f"{size} children")
    until(lambda: "3/3 children ready" in statuses(worker)[-1], what="STATUS")
    for size in (2, 1):
        worker.signal(signal.SIGTTOU)
        until(lambda: len(worker.children) == size, what=f"{size} children")
    # There is always one.
    worker.signal(signal.SIGTTOU)
    worker.log.wait("1 children from now on, by a signal: there is no further")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_busy_child_that_is_too_many_finishes_its_task(redis_worker, app, results):
    worker = redis_worker(concurrency=2).ready()
    sent = [app.send_task("drill.sleep", (1.5,)) for _ in range(2)]
    pids = {results.wait(task.id, "STARTED")["result"]["pid"] for task in sent}
    assert len(pids) == 2
    worker.signal(signal.SIGTTOU)
    worker.log.wait("1 children from now on")
    assert [task.get(timeout=10) for task in sent] == [1.5, 1.5]
    until(lambda: len(worker.children) == 1, what="one child")


# The dump


def test_usr1_tells_of_every_slot_and_delivery(redis_worker, app, results):
    worker = redis_worker("-l", "error", "--soft-time-limit", 50, "--time-limit", 60, concurrency=2).ready()
    running = app.send_task("drill.sleep", (30,))
    results.wait(running.id, "STARTED")
    behind = [app.send_task("drill.sleep", (30,)) for _ in range(4)]
    until(lambda: re.search("[3-9] claimed", statuses(worker)[-1]), what="what waits")
    worker.signal(signal.SIGUSR1)
    for task in [running, *behind]:
        worker.log.wait(rf"delivery drill.sleep\[{task.id}\] from celery: ")
    text = worker.log.text
    assert re.search(r"State of test@local: ready: \d/2 children ready, \d busy", text)
    assert re.search(rf"slot \d: pid \d+: working, .* runs drill.sleep\[{running.id}\] for [\d.]+ s, soft limit in [\d.]+ s, hard limit in", text)
    assert len(set(re.findall(r"slot \d: pid (\d+)", text)) & {str(pid) for pid in worker.children}) == 2
    assert worker.running


# Quiet


def quiet(worker, on):
    worker.signal(signal.SIGTSTP if on else signal.SIGCONT)
    worker.log.wait("Quiet: no more messages are taken" if on else "Messages are taken again")


def test_a_quiet_node_finishes_takes_nothing_and_goes_on_when_told_to(any_worker, broker):
    worker = any_worker(concurrency=1).ready()
    call = broker.command.call
    # Longer than it takes to send the rest.
    running = call("drill.sleep", 5)
    behind = [call("drill.add", n, 1) for n in range(3)]
    until(lambda: "1 busy" in statuses(worker)[-1], what="the task's start")
    quiet(worker, True)
    later = call("drill.add", 5, 1)
    assert broker.command.result(running) == 5
    until(lambda: "ready, quiet: 1/1 children ready, 0 busy, 0 claimed" in statuses(worker)[-1], what=lambda: statuses(worker)[-1])
    # Another node has them at once.
    other = any_worker(node="other@local", concurrency=1).ready()
    assert [broker.command.result(id) for id in behind] == [1, 2, 3]
    assert broker.command.result(later) == 6
    assert other.stop() == 0
    waiting = call("drill.add", 6, 1)
    assert "1 busy" not in statuses(worker)[-1]
    quiet(worker, False)
    assert broker.command.result(waiting) == 7
    assert worker.stop() == 0


def test_quiet_by_command(redis_worker, command, app, redis):
    worker = redis_worker().ready()
    other = redis_worker(node="other@local").ready()
    done = command.run("quiet", "-n", "test@local")
    assert (done.returncode, done.stdout) == (0, "->  test@local: takes no more messages\n")
    assert other.stop() == 0
    sent = app.send_task("drill.add", (2, 3))
    worker.log.wait("Quiet: no more messages are taken")
    assert command.run("quiet", "-n", "other@local", "--timeout", 0.3).returncode == 69
    assert redis.llen("celery") == 1
    done = command.run("quiet", "--resume")
    assert (done.returncode, done.stdout) == (0, "->  test@local: takes messages\n")
    assert sent.get(timeout=10) == 5


def test_a_stop_ends_quiet(redis_worker):
    worker = redis_worker().ready()
    quiet(worker, True)
    assert worker.stop(timeout=5) == 0


# Shutdowns that end


def test_a_warm_shutdown_says_what_it_waits_for_and_ends(redis_worker, app, results, redis):
    worker = redis_worker("--shutdown-timeout", 2, concurrency=1).ready()
    sent = app.send_task("drill.sleep", (60,))
    results.wait(sent.id, "STARTED")
    stopped_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    worker.log.wait(rf"waiting for 1 task\(s\), [12] s at most: drill.sleep\[{sent.id}\] in child 1 for \d s")
    assert until(lambda: [line for line in statuses(worker) if "finishing what runs, waiting for 1 task(s)" in line], what="STATUS")
    assert worker.notify.wait("EXTEND_TIMEOUT_USEC")
    assert worker.wait() == 0
    assert 1.9 < time.monotonic() - stopped_at < 5
    assert "the time for warm shutdown is over" in worker.log.text
    assert record(redis, sent.id)["status"] == "FAILURE"


def test_a_hard_limit_is_the_end_of_a_warm_shutdown(redis_worker, app, results, redis):
    worker = redis_worker("--time-limit", 3, concurrency=1).ready()
    sent = app.send_task("drill.spin", (60,))
    results.wait(sent.id, "STARTED")
    worker.signal(signal.SIGTERM)
    worker.log.wait(r"waiting for 1 task\(s\), [123] s at most")
    assert worker.wait() == 0
    assert record(redis, sent.id)["result"]["exc_type"] == "TimeLimitExceeded"


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_cold_shutdown_is_soft_first_where_that_is_set(redis_worker, app, results, redis, number):
    worker = redis_worker("--soft-shutdown-timeout", 2, concurrency=2).ready()
    short, long = (app.send_task("drill.late", (seconds,)) for seconds in (1.2, 60))
    for task in (short, long):
        results.wait(task.id, "STARTED")
    worker.signal(number)
    if number == signal.SIGINT:
        assert worker.notify.wait(STOPPING)
        worker.signal(number)
    worker.log.wait("Initiating Soft Shutdown, terminating in 2.0 seconds")
    assert worker.wait() == (0 if number == signal.SIGQUIT else 1)
    assert "the time for soft shutdown is over" in worker.log.text
    assert record(redis, short.id)["status"] == "SUCCESS"
    # Late: somebody else runs it.
    assert redis.llen("celery") == 1 and (record(redis, long.id) or {}).get("status") != "FAILURE"


def test_a_second_sigquit_ends_a_soft_shutdown(redis_worker, app, results):
    worker = redis_worker("--soft-shutdown-timeout", 60, concurrency=1).ready()
    results.wait(app.send_task("drill.sleep", (60,)).id, "STARTED")
    worker.signal(signal.SIGQUIT)
    worker.log.wait("Initiating Soft Shutdown")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGQUIT)
    assert worker.wait(5) == 0


def test_nothing_runs_so_a_soft_shutdown_is_a_cold_one(redis_worker):
    worker = redis_worker("--soft-shutdown-timeout", 60).ready()
    assert worker.stop(signal.SIGQUIT, timeout=5) == 0
    assert "Soft" not in worker.log.text


def test_a_soft_shutdown_does_not_prolong_a_warm_one(redis_worker, app, results):
    worker = redis_worker("--shutdown-timeout", 1.5, "--soft-shutdown-timeout", 60, concurrency=1).ready()
    results.wait(app.send_task("drill.sleep", (60,)).id, "STARTED")
    stopped_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    worker.log.wait("Warm shutdown")
    worker.signal(signal.SIGQUIT)
    assert worker.wait() == 0
    assert time.monotonic() - stopped_at < 4


# A terminal


def test_the_end_of_a_terminal_is_a_warm_shutdown(redis_server, redis_worker, app, results, redis):
    """On a terminal HUP is no reload, as in Celery: the terminal is gone."""
    worker = redis_worker(concurrency=1)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(worker.command[0], worker.command, worker.environment)
    try:
        assert worker.notify.wait("READY=1")
        sent = app.send_task("drill.sleep", (1,))
        results.wait(sent.id, "STARTED")
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        assert record(redis, sent.id)["status"] == "SUCCESS"
    finally:
        for child in [*processes.children(pid), pid]:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass


def test_a_node_that_stops_does_not_say_that_it_takes_messages(redis_worker, command, app, results):
    worker = redis_worker(concurrency=1).ready()
    sent = app.send_task("drill.sleep", (3,))
    results.wait(sent.id, "STARTED")
    worker.signal(signal.SIGTERM)
    worker.log.wait("Warm shutdown")
    done = command.run("quiet", "--resume")
    assert (done.returncode, done.stderr) == (1, "coppice: test@local: it stops, and takes no more messages\n")
    done = command.run("quiet")
    assert (done.returncode, done.stdout) == (0, "->  test@local: takes no more messages\n")
    assert worker.wait() == 0
