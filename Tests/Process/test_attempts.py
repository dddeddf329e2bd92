"""Attempts are counted before they begin, and what kills its child, its master or its host three times runs no more."""

import os
import signal

import pytest

from support.waiting import until


def starts(path, id):
    if not path.exists():
        return []
    return [int(pid) for name, pid in (line.split() for line in path.read_text().splitlines()) if name == id]


def test_a_task_that_kills_its_child_three_times_is_set_aside(any_worker, broker, folder):
    path = folder / "starts"
    worker = any_worker().ready()
    task = broker.command.call("drill.poison", str(path), "p", signal.SIGKILL)
    failure = broker.command.failure(task)
    assert "WorkerLostError" in failure and "3 attempts died" in failure and failure.count("signal 9 (SIGKILL)") == 3
    assert len(starts(path, "p")) == 3
    # The others are not affected, and the worker is none the worse.
    assert broker.command.result(broker.command.call("drill.add", 2, 3)) == 5
    worker.log.wait(r"set aside: 3 attempts died")
    assert worker.running and worker.stop() == 0


def test_a_task_that_takes_its_node_along_is_set_aside_at_the_third(any_worker, broker, folder):
    path = folder / "starts"
    task = broker.command.call("drill.ledger", str(path), "h", 60)
    for count in range(1, 4):
        worker = any_worker().ready()
        until(lambda: len(starts(path, "h")) == count, timeout=12, what=lambda: f"start {count}: {starts(path, 'h')}\n{worker.log.text}")
        worker.kill()
    any_worker().ready()
    failure = broker.command.failure(task)
    assert "3 attempts died" in failure and failure.count("the node died on test@local") == 3
    assert len(starts(path, "h")) == 3


def test_what_waited_beside_it_is_not_blamed(any_worker, broker, folder):
    """Tasks in the same master's hands that had not started have no deaths of their own."""
    path = folder / "starts"
    worker = any_worker(concurrency=1).ready()
    poison = broker.command.call("drill.poison", str(path), "p", signal.SIGKILL)
    innocent = [broker.command.call("drill.ledger", str(path), f"i{n}", 0) for n in range(3)]
    assert "3 attempts died" in broker.command.failure(poison)
    for number, task in enumerate(innocent):
        assert broker.command.result(task) > 0
        assert len(starts(path, f"i{number}")) == 1
    assert worker.running


def test_a_shutdown_is_no_death(any_worker, broker, folder):
    """Cold: the running late task goes back, time and again, and is never set aside for it."""
    path = folder / "starts"
    broker.command.call("drill.ledger", str(path), "w", 60)
    for count in range(1, 6):
        worker = any_worker().ready()
        until(lambda: len(starts(path, "w")) == count, what="the start")
        assert worker.stop(signal.SIGQUIT) == 0
        assert "set aside" not in worker.log.text


def test_a_strict_task_never_starts_twice(any_worker, broker, folder):
    path = folder / "starts"
    worker = any_worker().ready()
    task = broker.command.call("drill.strict", str(path), "s", 60)
    until(lambda: starts(path, "s"), what="the start")
    worker.kill()
    any_worker().ready()
    assert "WorkerLostError" in broker.command.failure(task)
    assert len(starts(path, "s")) == 1


def test_strict_tasks_run(any_worker, broker, folder):
    any_worker().ready()
    tasks = [broker.command.call("drill.strict", str(folder / "starts"), f"s{n}", 0) for n in range(20)]
    assert all(broker.command.result(task) > 0 for task in tasks)


def test_a_revocation_holds_with_no_worker_up(any_worker, broker, folder):
    path = folder / "starts"
    task = broker.command.call("drill.ledger", str(path), "r", 0)
    assert broker.command.run("revoke", task).returncode == 0
    worker = any_worker().ready()
    assert "revoked" in broker.command.failure(task)
    assert starts(path, "r") == []
    assert worker.stop() == 0


def test_a_revocation_from_python_outlives_the_node_that_heard_it(redis_worker, app, folder, results):
    path = folder / "starts"
    worker = redis_worker(concurrency=1).ready()
    app.control.revoke("later")
    # Answered behind it.
    until(lambda: app.control.inspect(timeout=1).ping(), what="a pong")
    assert worker.stop() == 0
    app.send_task("drill.ledger", (str(path), "later", 0), task_id="later")
    redis_worker().ready()
    results.wait("later", "REVOKED")
    assert starts(path, "later") == []


@pytest.mark.timeout(100)
@pytest.mark.parametrize("late", [False, True])
def test_a_master_that_was_stopped_past_its_lease_starts_nothing_of_what_others_have(any_worker, broker, folder, late):
    path = folder / "starts"
    first = any_worker(concurrency=1, node="one@local").ready()
    name = "drill.ledger" if late else "drill.strict"
    broker.command.call("drill.sleep", 3)
    first.log.wait("drill.sleep.* received")
    # No more: the next take waits until three of its four places are free.
    tasks = [broker.command.call(name, str(path), f"t{n}", 0) for n in range(2)]
    first.log.wait(f"{name}.* received", after=1)
    os.kill(first.pid, signal.SIGSTOP)
    any_worker(concurrency=1, node="two@local").ready()
    for task in tasks:
        # RabbitMQ has them until it finds the connection silent: after two to three heartbeats.
        assert broker.command.result(task, timeout=40 if broker.kind == "rabbitmq" else 15) > 0
    os.kill(first.pid, signal.SIGCONT)
    first.log.wait("have gone to others", timeout=15)
    # It is as good as new.
    assert broker.command.result(broker.command.call("drill.add", 1, 2)) == 3
    assert [len(starts(path, f"t{n}")) for n in range(2)] == [1, 1]


def test_the_limit_of_deaths_is_the_node_s_setting(any_worker, broker, folder):
    path = folder / "starts"
    any_worker("--max-deaths", "5").ready()
    failure = broker.command.failure(broker.command.call("drill.poison", str(path), "p", signal.SIGKILL))
    assert "5 attempts died" in failure and len(starts(path, "p")) == 5


def test_the_task_s_own_limit_goes_before_it(redis_worker, command, folder):
    path = folder / "starts"
    redis_worker("--max-deaths", "5").ready()
    failure = command.failure(command.call("drill.poison.once", str(path), "p", signal.SIGKILL))
    assert "1 attempt died" in failure and len(starts(path, "p")) == 1


def test_deaths_on_two_nodes_are_counted_together(any_worker, broker, folder):
    """One death is a node's, the other two are children's of another node."""
    path = folder / "starts"
    first = any_worker(concurrency=1, node="one@local").ready()
    task = broker.command.call("drill.relapse", str(path), "n", 0, 60)
    until(lambda: len(starts(path, "n")) == 2, what="the second start: at the first its child died")
    any_worker("--max-deaths", "2", concurrency=1, node="two@local").ready()
    first.kill()
    failure = broker.command.failure(task)
    assert "2 attempts died" in failure and "signal 9 (SIGKILL)" in failure and "the node died on one@local" in failure
    assert len(starts(path, "n")) == 2


def data_limit(pid):
    [line] = [line for line in open(f"/proc/{pid}/limits") if line.startswith("Max data size")]
    return line.split()[3]


def test_a_suspect_gets_less_memory_and_the_next_task_has_it_back(redis_worker, command, folder):
    path = folder / "starts"
    worker = redis_worker("--suspect-memory", "256M", concurrency=1).all_ready(1)
    task = command.call("drill.relapse", str(path), "s", 10, 2)
    until(lambda: len(starts(path, "s")) == 2, what="the second start")
    [child] = worker.children
    assert data_limit(child) == str(256 << 20)
    assert command.result(task) == 10
    assert command.result(command.call("drill.eat", 400, 0)) == 400
    assert data_limit(child) == "unlimited" and worker.children == [child]


def test_a_suspect_that_wants_more_dies_alone(redis_worker, command, folder):
    path = folder / "starts"
    redis_worker("--suspect-memory", "256M").ready()
    task = command.call("drill.relapse", str(path), "s", 400, 0)
    failure = command.failure(task)
    assert "3 attempts died" in failure and failure.count("as a suspect it was given 256 MiB") == 2
    assert command.result(command.call("drill.add", 2, 3)) == 5
