"""sd_notify over a real socket: READY means ready, WATCHDOG means the loop turns."""

import re
import signal
import socket
import time

import pytest

from support import processes
from support.envelope import envelope, send
from support.waiting import until


def test_ready_is_said_once_and_the_first_child_is_ready_then(worker):
    assert worker.log.wait(r"is ready")
    worker.all_ready()
    assert worker.notify.messages("READY") == ["READY=1"]
    assert worker.children


def test_the_start_takes_a_fraction_of_a_second(redis_worker):
    worker = redis_worker().ready(timeout=5)
    assert worker.notify.times("READY=1")[0] - worker.started_at < 1


def test_ready_is_withheld_while_no_child_is_ready(redis_worker, python_worker):
    worker = redis_worker(app=python_worker("", serve="time.sleep(1.5)\nserve()")).start()
    assert worker.notify.wait("READY=1", timeout=1) is None
    assert worker.notify.wait("READY=1", timeout=5)


def test_ready_is_withheld_while_the_broker_is_down(workers, own_redis):
    server = own_redis()
    server.stop()
    worker = workers(environment={"COPPICE_BROKER_URL": server.url()}).start()
    worker.log.wait(r"ERROR.*refused")
    assert worker.notify.wait("READY=1", timeout=1.5) is None
    assert worker.running
    server.start()
    assert worker.notify.wait("READY=1", timeout=15)


def test_the_status_has_live_figures(worker, app, results):
    worker.all_ready()
    sent = app.send_task("drill.sleep", (2,))
    results.wait(sent.id, "STARTED")
    until(lambda: any(re.search(r"\b1\b.*(busy|running)|(busy|running)\D*1\b", line) for line in worker.notify.messages("STATUS=")),
          timeout=5, what=lambda: str(worker.notify.messages("STATUS=")))  # fmt: skip


def test_the_watchdog_is_fed_at_half_its_time_or_sooner(redis_worker):
    worker = redis_worker(watchdog=1.0).ready()
    assert worker.notify.wait("WATCHDOG=1", timeout=5, after=5)
    times = worker.notify.times("WATCHDOG=1")
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert max(gaps) < 0.8, gaps


def test_no_watchdog_is_sent_where_none_was_asked_for(worker, app):
    app.send_task("drill.sleep", (1,)).get(timeout=10)
    assert worker.notify.messages("WATCHDOG") == []


def test_the_watchdog_is_fed_while_all_children_are_busy(redis_worker, app, results):
    worker = redis_worker(watchdog=1.0).all_ready()
    for _ in range(2):
        results.wait(app.send_task("drill.spin", (3,)).id, "STARTED")
    seen = len(worker.notify.messages("WATCHDOG=1"))
    assert worker.notify.wait("WATCHDOG=1", timeout=2, after=seen + 2)


def test_a_stopped_master_feeds_no_watchdog(redis_worker):
    worker = redis_worker(watchdog=1.0).ready()
    assert worker.notify.wait("WATCHDOG=1", timeout=5)
    worker.signal(signal.SIGSTOP)
    until(lambda: processes.state(worker.pid) == "T", what="the stop")
    # Behind what it has sent before.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as fence:
        fence.sendto(b"FENCE=1", worker.notify.path)
    assert worker.notify.wait("FENCE=1")
    seen = len(worker.notify.messages("WATCHDOG=1"))
    assert worker.notify.wait("WATCHDOG=1", timeout=1.5, after=seen) is None
    worker.signal(signal.SIGCONT)
    assert worker.notify.wait("WATCHDOG=1", timeout=2, after=seen)


def test_a_broker_that_goes_away_restarts_nobody(workers, own_redis):
    server = own_redis()
    worker = workers(environment={"COPPICE_BROKER_URL": server.url()}, watchdog=1.0).ready()
    server.kill()
    worker.log.wait(r"(?i)(lost|closed|refused|cannot|can't)", timeout=10)
    seen = len(worker.notify.messages("WATCHDOG=1"))
    assert worker.notify.wait("WATCHDOG=1", timeout=3, after=seen + 3)
    assert worker.running


def test_a_broker_that_hangs_stops_neither_watchdog_nor_signals(workers, own_redis):
    server = own_redis()
    worker = workers(environment={"COPPICE_BROKER_URL": server.url()}, watchdog=1.0).ready()
    server.pause()
    seen = len(worker.notify.messages("WATCHDOG=1"))
    assert worker.notify.wait("WATCHDOG=1", timeout=5, after=seen + 4)
    stopped_at = time.monotonic()
    worker.signal(signal.SIGQUIT)
    worker.wait(timeout=15)
    assert time.monotonic() - stopped_at < 15


def test_stopping_is_said_before_the_end(worker):
    worker.stop()
    assert worker.notify.wait("STOPPING=1")
    assert worker.notify.messages("STOPPING") == ["STOPPING=1"]


def test_more_time_is_asked_for_when_a_stop_begins_whenever_that_was_done_last(worker, app, results):
    running = app.send_task("drill.sleep", (5,))
    results.wait(running.id, "STARTED")
    asked = len(worker.notify.messages("EXTEND_TIMEOUT_USEC"))
    worker.signal(signal.SIGTERM)
    assert worker.notify.wait("STOPPING=1")
    assert worker.notify.wait("EXTEND_TIMEOUT_USEC=15000000", timeout=3, after=asked)
    assert worker.wait() == 0


def test_more_time_is_asked_for_while_it_reloads(redis_worker, python_worker, folder):
    gate = folder / "gate"
    gate.touch()
    serve = f"import os\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)\nserve()"
    worker = redis_worker(app=python_worker("", serve=serve), concurrency=1).ready()
    asked = len(worker.notify.messages("EXTEND_TIMEOUT_USEC"))
    gate.unlink()
    worker.signal(signal.SIGHUP)
    assert worker.notify.wait("RELOADING=1")
    assert worker.notify.wait("EXTEND_TIMEOUT_USEC=15000000", timeout=5, after=asked)
    gate.touch()
    assert worker.notify.wait("READY=1", after=1)


def test_children_do_not_inherit_the_service_managers_variables(redis_worker):
    worker = redis_worker(watchdog=5.0).ready()
    for child in worker.children:
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(processes.environment(child))


@pytest.fixture(params=["path", "abstract"])
def full_socket(request, folder):
    """A service manager's socket that nobody reads and that takes no more: (its name in NOTIFY_SOCKET, the socket)"""
    name = str(folder / "unread") if request.param == "path" else f"@{folder.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unread, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        unread.bind(name.replace("@", "\0"))
        unread.settimeout(10)
        filler.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                filler.sendto(b"full", unread.getsockname())
        yield name, unread


def heard(unread, wanted):
    """Reads up to the message that has the line."""
    while wanted not in unread.recv(65536).decode().splitlines():
        pass


def test_a_service_manager_that_reads_nothing_holds_up_nothing_and_hears_all_later(redis_worker, app, full_socket):
    name, unread = full_socket
    worker = redis_worker(environment={"NOTIFY_SOCKET": name}, watchdog=1.0).start()
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    worker.log.wait("ready\\.")
    heard(unread, "READY=1")
    heard(unread, "WATCHDOG=1")
    running = app.send_task("drill.sleep", (1.5,))
    worker.log.wait(f"{running.id}.* received")
    worker.signal(signal.SIGTERM)
    heard(unread, "STOPPING=1")
    assert worker.wait() == 0


def test_a_tasks_name_commands_nobody(redis_worker, redis, results):
    """`shadow` is the sender's word: a line's end in it must not be one of systemd's, nor its length cost STOPPING."""
    worker = redis_worker(concurrency=2).ready()
    for id, shadow in [("one", "x\nWATCHDOG=trigger"), ("two", "y" * 100_000)]:
        send(redis, envelope("drill.sleep", (1,), id=id, headers={"shadow": shadow}))
        results.wait(id, "STARTED")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert any("x\\u{a}WATCHDOG=trigger" in line for line in worker.notify.messages("STATUS=finishing"))
    assert not worker.notify.messages("WATCHDOG=trigger")
    assert worker.notify.messages("STOPPING=1") and all(len(line) < 2000 for line in worker.notify.messages("STATUS="))
