"""The log: whose line is whose, in every form, whatever a task prints, and whoever does not read."""

import json
import os
import pty
import re
import signal
import subprocess
import time
import uuid

import pytest

from support import COPPICE, DRILL
from support import journal as journald
from support import processes
from support.notify_socket import NotifySocket
from support.waiting import until
from support.worker import PLAIN


@pytest.fixture
def journal():
    if not journald.available():
        pytest.skip("systemd-journald and mount namespaces are for root")
    server = journald.Journal().start()
    yield server
    server.close()


def records(worker, **wanted):
    """The log's JSON lines with such members; every line that is no banner must be one."""
    found = [json.loads(line) for line in worker.log.lines if line.startswith("{")]
    return [record for record in found if all(record.get(name) == value for name, value in wanted.items())]


def wait_records(worker, count, **wanted):
    return until(lambda: (found := records(worker, **wanted)) and len(found) >= count and found,
                 what=lambda: f"{count} of {wanted}:\n{worker.log.text}")  # fmt: skip


def send(app, count, *args, **options):
    """Tasks whose ids are what they print: ids."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    for id in ids:
        app.send_task("drill.say", (id + "\n", *args), task_id=id, **options)
    return ids


def test_every_line_of_many_short_tasks_is_its_tasks(redis_worker, app):
    # Written ahead of one another and printed within microseconds: only the child itself knows whose line is whose.
    worker = redis_worker("--log-format", "json").ready()
    ids = send(app, 150) + send(app, 150, "print", True)
    lines = wait_records(worker, 150, stream="stdout") + wait_records(worker, 150, stream="stderr")
    assert sorted(line["message"] for line in lines) == sorted(ids)
    assert all(line["message"] == line["task_id"] for line in lines)


@pytest.mark.parametrize("by", ["write", "child", "logger"])
def test_what_bypasses_stdio_has_its_task_too(redis_worker, app, by):
    worker = redis_worker("--log-format", "json").all_ready()
    for _ in range(6):
        app.AsyncResult(send(app, 1, by)[0]).get(timeout=10)
    lines = wait_records(worker, 6, task_name="drill.say", level="warning")
    assert [line["message"].strip() for line in lines] == [line["task_id"] for line in lines]
    assert {line["stream"] for line in lines} == {"logger" if by == "logger" else "stdout"}


@pytest.mark.parametrize("by", ["print", "write"])
def test_the_beginning_of_a_line_is_its_tasks_last(redis_worker, app, by):
    worker = redis_worker("--log-format", "json", concurrency=1).ready()
    for word in ("half", "other half"):
        app.send_task("drill.say", (word, by)).get(timeout=10)
    lines = wait_records(worker, 2, stream="stdout")
    assert [line["message"] for line in lines] == ["half", "other half"]
    assert lines[0]["task_id"] != lines[1]["task_id"]


def test_children_and_streams_never_interleave(redis_worker, app, tmp_path):
    worker = redis_worker("-f", tmp_path / "log").ready()
    # Longer than what a pipe takes in one piece.
    sent = [app.send_task("drill.say", ((letter * 7000 + "\n") * 20, "print", letter in "bd")) for letter in "abcd"]
    for result in sent:
        result.get(timeout=20)
    worker.stop()
    lines = [line.rsplit(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines() if re.search(r"([abcd])\1{99}", line)]
    assert sorted(set(lines)) == [letter * 7000 for letter in "abcd"] and len(lines) == 80


def test_no_task_forges_a_line_or_steers_a_terminal(worker, app):
    forged = "[2026-11-22 18:58:33,240: ERROR/MainProcess] forged"
    sent = app.send_task("drill.say", (f"\x1b[2Jone\r\n{forged}\n",))
    logged = app.send_task("drill.say", (f"two\r\n{forged}", "logger"))
    sent.get(timeout=10)
    logged.get(timeout=10)
    worker.log.wait(rf"WARNING/Child-\d\] drill.say\[{sent.id}\]: \\u\{{1b\}}\[2Jone$")
    worker.log.wait(rf"WARNING/Child-\d\] drill.say\[{sent.id}\]: \[2026.* forged$")
    worker.log.wait(rf"WARNING/Child-\d\] drill.say\[{logged.id}\]: two$")
    worker.log.wait(r"^    \[2026.* forged$")
    assert not worker.log.find(r"^\[2026-11-22 18:58:33,240")


def test_a_mark_that_is_not_its_childs_is_no_mark(redis_worker, app):
    worker = redis_worker("--log-format", "json", concurrency=1).ready()
    sent = app.send_task("drill.say", ("\x1e77777\x1fhello\n",))
    sent.get(timeout=10)
    line = wait_records(worker, 1, stream="stdout")[0]
    assert (line["message"], line["task_id"]) == ("\x1e77777\x1fhello", sent.id)


def test_json_lines_have_one_form(redis_worker, app):
    worker = redis_worker("--log-format", "json").ready()
    text = 'quote " backslash \\ tab \t 漢字 🎉 \x00\x01'
    said = app.send_task("drill.say", (text + "\n",))
    said.get(timeout=10)
    failed = app.send_task("drill.fail", ("no\nway",))
    failed.get(timeout=10, propagate=False)
    worker.stop()
    lines = [line for line in worker.log.lines if line]
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    # Beside them there is the banner alone.
    assert all(re.match(r" |\[tasks\]", line) for line in lines if not line.startswith("{"))
    for record in parsed:
        assert record["v"] == 1 and record["node"] == "test@local" and record["level"] in {"info", "warning", "error"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00", record["time"])
        assert set(record) <= {"v", "time", "level", "node", "message", "task_id", "task_name", "queue", "retries", "slot", "child_pid",
                               "stream", "runtime"}  # fmt: skip
    assert [record["message"] for record in parsed if record.get("stream") == "stdout"] == [text]
    error = [record for record in parsed if record.get("task_id") == failed.id and record["level"] == "error"][0]
    assert "no\nway" in error["message"]
    # What tells a task's end says how long it ran, and nothing else does.
    assert [record["message"].split("] ")[1][:9] for record in parsed if "runtime" in record] == ["succeeded", "raised un"]
    assert all(0 < record["runtime"] < 10 for record in parsed if "runtime" in record)


def test_the_masters_lines_about_a_task_carry_it(redis_worker, app, results):
    worker = redis_worker("--log-format", "json").all_ready()
    done = app.send_task("drill.say", ("hello\n",), queue="celery")
    done.get(timeout=10)
    story = wait_records(worker, 3, task_id=done.id)
    end = f"Task drill.say[{done.id}] succeeded in {story[-1]['runtime']:.6f}".rstrip("0") + "s"
    assert sorted(record["message"].split(": ")[0] for record in story) == sorted([
        f"Task drill.say[{done.id}] received", "hello", end])  # fmt: skip
    assert {(record["task_name"], record["queue"], record["retries"]) for record in story} == {("drill.say", "celery", 0)}
    assert {(record["slot"], record["child_pid"]) for record in story if "slot" in record} == {
        (story[-1]["slot"], story[-1]["child_pid"])}  # fmt: skip
    assert story[-1]["child_pid"] in worker.children
    lost = app.send_task("drill.sleep", (30,))
    pid = results.wait(lost.id, "STARTED")["result"]["pid"]
    os.kill(pid, 9)
    results.wait(lost.id, "FAILURE")
    ends = wait_records(worker, 2, task_id=lost.id, level="error")
    assert {record["child_pid"] for record in ends} == {pid}
    # A dead child says nothing of it: it is what the master saw.
    assert [0 < record["runtime"] < 10 for record in ends if "runtime" in record] == [True]


def test_the_last_words_of_a_child_are_its_tasks(redis_worker, app, python_worker):
    worker = redis_worker("--log-format", "json", app=python_worker("""
def die(args, kwargs):
    os.write(2, b"cannot go on")
    os.kill(os.getpid(), 9)

TASKS["bad.die"] = die
""")).ready()
    sent = app.send_task("bad.die")
    sent.get(timeout=10, propagate=False)
    line = wait_records(worker, 1, stream="stderr")[0]
    assert (line["message"], line["task_id"]) == ("cannot go on", sent.id)


def test_a_flood_costs_the_master_no_memory_and_its_neighbour_nothing(redis_worker, app, tmp_path):
    worker = redis_worker("-f", tmp_path / "log").ready()
    until(lambda: (tmp_path / "log").read_text().count(" is ready") == 2, what="both children")
    before = processes.private_memory(worker.pid)
    flood = app.send_task("drill.flood", (30_000_000,))
    took = []
    while not flood.ready():
        began = time.monotonic()
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
        took.append(time.monotonic() - began)
        assert processes.private_memory(worker.pid) - before < 8 << 20
    assert took and sorted(took)[len(took) // 2] < 0.5
    assert flood.get(timeout=1) == 30_000_000


def test_a_file_that_was_moved_away_is_opened_anew_at_hup(redis_worker, tmp_path):
    log = tmp_path / "log"
    worker = redis_worker("-f", log).ready()
    log.rename(tmp_path / "log.1")
    worker.signal(signal.SIGHUP)
    until(lambda: log.exists() and "Reloaded" in log.read_text(), what="the new file")
    assert "Reload" not in (tmp_path / "log.1").read_text()
    # Where it can't be, the log goes on where it went.
    log.rename(tmp_path / "log.2")
    log.mkdir()
    worker.signal(signal.SIGHUP)
    until(lambda: "the log goes on in the old file" in (tmp_path / "log.2").read_text(), what="the complaint")
    assert worker.running


def test_the_journal_has_a_tasks_whole_story(redis_worker, app, journal):
    worker = redis_worker("--log-format", "journal", prefix=journal.prefix).ready()
    sent = app.send_task("drill.say", ("printed\n",))
    sent.get(timeout=10)
    logged = app.send_task("drill.say", ("two\nlines", "logger"))
    logged.get(timeout=10)
    story = journal.wait(3, f"COPPICE_TASK_ID={sent.id}")
    label = f"drill.say[{sent.id}]"
    assert [entry["MESSAGE"] for entry in story if "COPPICE_STREAM" not in entry] == [
        f"Task {label} received", f'Task {label} succeeded in {story[-1]["COPPICE_RUNTIME"]}s: "{sent.id}"']  # fmt: skip
    printed = [entry for entry in story if "COPPICE_STREAM" in entry][0]
    assert {name: printed[name] for name in printed if name.startswith("COPPICE_")} | {"COPPICE_CHILD_PID": None} == {
        "COPPICE_NODE": "test@local", "COPPICE_TASK_ID": sent.id, "COPPICE_TASK_NAME": "drill.say", "COPPICE_QUEUE": "celery",
        "COPPICE_RETRIES": "0", "COPPICE_SLOT": printed["COPPICE_SLOT"], "COPPICE_CHILD_PID": None, "COPPICE_STREAM": "stdout",
    }  # fmt: skip
    assert int(printed["COPPICE_CHILD_PID"]) in worker.children
    assert (printed["MESSAGE"], printed["PRIORITY"], printed["SYSLOG_IDENTIFIER"]) == (f"{label}: printed", "4", "coppice")
    assert printed["_PID"] == str(worker.pid)
    lines = journal.wait(1, f"COPPICE_TASK_ID={logged.id}", "COPPICE_STREAM=logger")
    assert lines[0]["MESSAGE"] == f"drill.say[{logged.id}]: two\nlines"
    # Nothing of it goes to standard error as well.
    assert not worker.log.find("received|printed")


def test_a_unit_logs_to_the_journal_by_itself(redis_worker, app, journal):
    # systemd connects standard error to the journal and names the connection in $JOURNAL_STREAM; systemd-cat does the same.
    worker = redis_worker(prefix=[*journal.prefix, "sh", "-c", SYSTEMD_EXEC, "sh"]).ready()
    sent = app.send_task("drill.say", ("printed\n",))
    sent.get(timeout=10)
    assert len(journal.wait(3, f"COPPICE_TASK_ID={sent.id}")) == 3


# As systemd starts a service, but for the name of the stream.
SYSTEMD_EXEC = """exec python3 -c '
import os, socket, sys
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"test\\n\\n6\\n0\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
os.execv(sys.argv[1], sys.argv[1:])
' "$@"
"""


def test_a_stream_that_is_not_the_journals_gets_lines(redis_worker):
    # The variable is inherited by all that a unit starts; what has another standard error must not write to the journal.
    worker = redis_worker(environment={"JOURNAL_STREAM": "8:12345"}).ready()
    worker.log.wait(r"WARNING/MainProcess\] test@local ready\.")


def test_a_journal_that_does_not_read_holds_up_nothing_and_hears_of_the_loss(redis_worker, app, journal):
    worker = redis_worker("--log-format", "journal", prefix=journal.prefix).ready()
    journal.pause()
    flood = app.send_task("drill.flood", (3_000_000,))
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    flood.get(timeout=20)
    journal.resume()
    told = until(lambda: [entry for entry in journal.entries("SYSLOG_IDENTIFIER=coppice") if "log lines of child" in entry["MESSAGE"]],
                 every=0.1, what="the number of lines lost")  # fmt: skip
    assert re.match(r"\d+ log lines of child \d lost", told[0]["MESSAGE"]) and told[0]["COPPICE_SLOT"] in "12"
    assert worker.running


def test_a_journal_that_is_restarted_gets_the_rest(redis_worker, app, journal):
    redis_worker("--log-format", "journal", prefix=journal.prefix).ready()
    journal.kill()
    sent = app.send_task("drill.say", ("printed\n",))
    sent.get(timeout=10)
    journal.start()
    assert len(journal.wait(3, f"COPPICE_TASK_ID={sent.id}")) == 3


def test_the_form_may_stand_in_the_settings_file(redis_worker, folder):
    (folder / "settings.yaml").write_text("version: 1\nworker:\n  log-format: json\n")
    worker = redis_worker("--config", folder / "settings.yaml").ready()
    wait_records(worker, 1, message="test@local ready.")


@pytest.mark.parametrize("flags, said", [
    (("--log-format", "xml"), "--log-format: 'xml' is none of auto, human, json, journal"),
    (("--log-format", "journal", "-f", "/dev/null"), "--log-format: the journal takes no --logfile"),
])  # fmt: skip
def test_a_form_that_does_not_go_is_refused(redis_worker, flags, said):
    worker = redis_worker(*flags).start()
    assert worker.wait() == 2
    worker.log.wait(re.escape(said))


@pytest.mark.parametrize("flags", [(), ("-f",)], ids=["stderr", "logfile"])
def test_a_terminal_that_nobody_reads_holds_up_nothing(folder, redis_server, app, flags):
    """As after Ctrl-S, or in a window that is stuck: a write of more than the terminal takes would wait for its reader."""
    master, slave = pty.openpty()
    notify = NotifySocket(folder / "notify")
    terminal = os.ttyname(slave)
    process = subprocess.Popen(
        [COPPICE, "worker", "-A", DRILL, "-c", "1", "-l", "info", *flags, *([terminal] if flags else [])],
        env=PLAIN | {"COPPICE_BROKER_URL": redis_server.url(), "NOTIFY_SOCKET": notify.path, "XDG_STATE_HOME": str(folder)},
        stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, start_new_session=True)  # fmt: skip
    try:
        assert notify.wait("READY=1")
        sent = [app.send_task("drill.say", ("x" * 5000 + "\n", "print")) for _ in range(20)]
        for result in sent:
            result.get(timeout=10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)
        notify.close()


def test_what_a_task_starts_is_like_any_program(redis_worker, app):
    worker = redis_worker(concurrency=1).ready()
    pid = app.send_task("drill.fork", (20,)).get(timeout=10)
    try:
        with open(f"/proc/{pid}/status") as status:
            ignored = next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn"))
        assert not ignored & 1 << signal.SIGPIPE - 1
    finally:
        os.kill(pid, signal.SIGKILL)
    # The drill has passed the pipes on itself; by themselves they stay here (O_CLOEXEC).
    [child] = worker.children
    for number in (3, 4):
        with open(f"/proc/{child}/fdinfo/{number}") as info:
            assert next(int(line.split()[1], 8) for line in info if line.startswith("flags")) & os.O_CLOEXEC


def test_what_begins_marks_for_ever_costs_the_master_no_memory(redis_worker, app, python_worker, tmp_path):
    tasks = """
def flood(args, kwargs):
    for _ in range(5000):
        os.write(1, b"\\x1e" * 4096)
import os
TASKS["flood"] = flood
"""
    worker = redis_worker("-f", tmp_path / "log", app=python_worker(tasks), concurrency=1).ready()
    before = processes.private_memory(worker.pid)
    flood = app.send_task("flood")
    flood.get(timeout=60)
    assert processes.private_memory(worker.pid) - before < 8 << 20
