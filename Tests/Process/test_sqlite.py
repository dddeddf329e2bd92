"""The embedded default: one file, several processes, no server."""

import contextlib
import errno
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from support import EXAMPLE, processes
from support.command import Command
from support.waiting import until


@pytest.fixture
def sqlite(folder):
    return Command({"COPPICE_BROKER_URL": f"sqlite:///{folder}/coppice.db"})


@pytest.fixture
def sqlite_worker(workers, sqlite):
    def make(*flags, **options):
        return workers(*flags, environment=sqlite.environment, **options)

    return make


def test_with_nothing_configured_the_state_folder_is_used(workers, folder):
    state = folder / "state"
    workers(app=EXAMPLE).ready()
    command = Command({"XDG_STATE_HOME": str(state)})
    assert command.result(command.call("example.add", 2, 3)) == 5
    assert [path for path in state.rglob("*") if path.is_file()], "nothing in the state folder"
    for path in state.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, f"{path} may be read by others"


def test_a_task_waits_in_the_file_for_a_worker(sqlite, sqlite_worker):
    sent = sqlite.call("drill.add", 2, 3)
    sqlite_worker().ready()
    assert sqlite.result(sent) == 5


def test_several_workers_share_the_file_and_run_each_task_once(sqlite, sqlite_worker, folder):
    ledger = folder / "ledger"
    for node in ("one@local", "two@local", "three@local"):
        sqlite_worker(node=node).ready()
    sent = [sqlite.call("drill.ledger", str(ledger), str(n), 0) for n in range(40)]
    for task in sent:
        sqlite.result(task)
    assert sorted(int(line.split()[0]) for line in ledger.read_text().splitlines()) == list(range(40))


def test_worker_and_client_notice_each_others_writes_at_once(sqlite, sqlite_worker):
    sqlite_worker().ready()
    took = []
    for n in range(5):
        sent_at = time.monotonic()
        assert sqlite.result(sqlite.call("drill.add", n, 1)) == n + 1
        took.append(time.monotonic() - sent_at)
    # Who misses a note finds what is new a second later.
    assert sorted(took)[2] < 0.4, took


def test_a_countdown_is_kept_on_sqlite(sqlite, sqlite_worker):
    sqlite_worker().ready()
    sent_at = time.time()
    sent = sqlite.call("drill.add", 2, 3, options=("--countdown", "1"))
    assert sqlite.result(sent) == 5
    assert 1 <= time.time() - sent_at < 4


def test_a_killed_childs_early_task_fails_and_its_late_task_runs_again(sqlite, sqlite_worker, folder):
    ledger = folder / "ledger"
    worker = sqlite_worker(concurrency=1).ready()
    sent = sqlite.call("drill.ledger", str(ledger), "a", 1)
    until(lambda: ledger.exists() and ledger.read_text().endswith("\n"), what="the start")
    os.kill(worker.children[0], signal.SIGKILL)
    sqlite.result(sent)
    assert len(ledger.read_text().splitlines()) == 2
    assert "WorkerLostError" in sqlite.failure(sqlite.call("drill.kill", 9))


def test_a_retry_works_on_sqlite(sqlite, sqlite_worker):
    sqlite_worker().ready()
    assert sqlite.result(sqlite.call("drill.retry", 1)) == 1


def refused_or_waiting(worker, path):
    """One line names the place, and the worker either ends or waits for better times, without READY."""
    worker.log.wait(rf"(ERROR|coppice:).*{re.escape(path)}")
    assert worker.notify.wait("READY=1", timeout=1) is None
    assert len(worker.log.find(rf"(ERROR|CRITICAL|coppice:).*{re.escape(path)}")) == 1, worker.log.text
    assert "Fatal error" not in worker.log.text
    code = worker.process.poll()
    assert 0 < code < 128 if code is not None else worker.stop(timeout=5) == 0


def test_a_folder_that_does_not_exist_and_can_not_be_made_is_said_so_in_one_line(workers):
    worker = workers(environment={"COPPICE_BROKER_URL": "sqlite:////proc/no/such/place.db"}).start()
    refused_or_waiting(worker, "/proc/no/such")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="root writes anywhere; another user is needed to be refused")
def test_a_folder_that_may_not_be_written_is_said_so_in_one_line(workers, folder):
    worker = workers(
        environment={"COPPICE_BROKER_URL": f"sqlite:///{folder}/coppice.db"},
        prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    ).start()
    refused_or_waiting(worker, str(folder))


def test_a_file_that_is_no_database_is_said_so_and_left_alone(workers, folder):
    path = folder / "letters.txt"
    path.write_text("Dear Sir or Madam,\n" * 500)
    worker = workers(environment={"COPPICE_BROKER_URL": f"sqlite:///{path}"}).start()
    refused_or_waiting(worker, str(path))
    assert path.read_text() == "Dear Sir or Madam,\n" * 500


@pytest.fixture
def small_disk(folder):
    place = folder / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield place
    finally:
        # At once out of sight; gone when the last process has closed its files there.
        subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Until there is no space: for contents, or, where others were faster, for the file itself."""
    try:
        with open(place / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error


def test_a_full_disk_is_said_so_and_the_work_goes_on_when_there_is_room(workers, small_disk):
    command = Command({"COPPICE_BROKER_URL": f"sqlite:///{small_disk}/coppice.db"})
    worker = workers(environment=command.environment).ready()
    assert command.result(command.call("drill.add", 2, 3)) == 5
    sleeping = command.call("drill.late", 1)
    until(lambda: worker.log.find(sleeping), what="the start")
    fill(small_disk)
    refused = command.run("call", "drill.tsum", "--args", "[[" + ",".join(["1"] * 20_000) + "]]")
    assert refused.returncode == 69 and len(refused.stderr.strip().splitlines()) == 1 and "no space" in refused.stderr, refused.stderr
    worker.log.wait(r"(?i)(full|disk|space)", timeout=10)
    assert worker.running
    (small_disk / "filler").unlink(missing_ok=True)
    assert isinstance(command.result(sleeping), int)
    assert command.result(command.call("drill.add", 2, 3)) == 5


def test_a_call_into_a_full_disk_fails_in_one_line(small_disk):
    fill(small_disk)
    done = Command({"COPPICE_BROKER_URL": f"sqlite:///{small_disk}/coppice.db"}).run("call", "drill.add", "--args", "[2, 3]")
    assert 0 < done.returncode < 128
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Fatal error" not in done.stderr


def test_the_master_keeps_one_thread_on_sqlite_too(sqlite, sqlite_worker):
    worker = sqlite_worker().ready()
    for n in range(10):
        sqlite.result(sqlite.call("drill.add", n, 1))
    assert len(processes.threads(worker.pid)) == 1


def test_what_a_dead_node_left_does_not_hold_up_who_signs_off(sqlite, sqlite_worker, folder):
    dying = sqlite_worker(concurrency=1, node="dying@local").ready()
    sent = sqlite.call("drill.sleep", 60)
    until(lambda: sqlite.run("result", sent, "--timeout", "0.1").stderr.endswith("STARTED\n"), what="the start")
    stopping = sqlite_worker(concurrency=1, node="stopping@local").ready()
    dying.kill()
    # A lock over the moment at which it counts as dead, five to six seconds after its last sign: the stopping one then hears of what it
    # left in the very transaction that signs itself off.
    time.sleep(4.9)
    with contextlib.closing(sqlite3.connect(folder / "coppice.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.7)
        stopping.signal(signal.SIGTERM)
        time.sleep(0.6)
        other.execute("ROLLBACK")
    assert stopping.wait(timeout=4) == 0
    assert not stopping.log.find("ERROR")
