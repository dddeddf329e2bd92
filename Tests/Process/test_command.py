"""`coppice call`, `result` and `revoke`, on every broker."""

import json
import os
import pty
import re
import subprocess
import threading
from datetime import datetime, timezone

import pytest

from support import COPPICE, EXAMPLE
from support.waiting import until


def test_call_prints_an_id_and_result_prints_json(any_worker, broker):
    any_worker().ready()
    done = broker.command.run("call", "drill.add", "--args", "[2, 3]")
    assert done.returncode == 0 and re.fullmatch(r"\S+\n", done.stdout)
    shown = broker.command.run("result", done.stdout.strip(), "--timeout", "10")
    assert shown.returncode == 0 and json.loads(shown.stdout) == 5


def test_keywords_and_queues_may_be_given(any_worker, broker):
    any_worker("-Q", "side").ready()
    sent = broker.command.call("drill.add", x=2, y=3, options=("--queue", "side"))
    assert broker.command.result(sent) == 5


def test_a_failure_is_told_on_standard_error(any_worker, broker):
    any_worker().ready()
    done = broker.command.run("result", broker.command.call("drill.fail", "no ledger"), "--timeout", "10")
    assert done.returncode == 1
    assert "ValueError" in done.stderr and "no ledger" in done.stderr
    assert done.stdout == ""


def test_wrong_arguments_are_told_in_pythons_words(any_worker, broker):
    any_worker().ready()
    assert "missing 1 required positional argument: 'y'" in broker.command.failure(broker.command.call("drill.add", 1))


def test_a_result_that_does_not_come_in_time_is_a_failure_of_its_own(broker):
    sent = broker.command.call("drill.add", 2, 3)
    done = broker.command.run("result", sent, "--timeout", "0.3")
    assert done.returncode not in (0, 1)
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_revoked_task_says_so(any_worker, broker):
    worker = any_worker(concurrency=1).ready()
    broker.command.call("drill.sleep", 1)
    sent = broker.command.call("drill.add", 2, 3)
    worker.log.wait(sent)
    assert broker.command.run("revoke", sent).returncode == 0
    done = broker.command.run("result", sent, "--timeout", "10")
    assert done.returncode == 1 and "revoked" in done.stderr.lower()


def test_a_running_task_is_terminated(any_worker, broker):
    worker = any_worker(concurrency=1).ready()
    sent = broker.command.call("drill.spin", 30)
    before = worker.children
    until(lambda: worker.log.find(sent), what="the start")
    done = broker.command.run("revoke", sent, "--terminate", "--signal", "SIGKILL")
    assert done.returncode == 0, done.stderr
    assert "terminated" in broker.command.failure(sent).lower() or "revoked" in broker.command.failure(sent).lower()
    until(lambda: worker.children and worker.children != before, what="a replacement")


@pytest.mark.parametrize("flag, value", [("--args", "[1,"), ("--args", "{}"), ("--kwargs", "[]"), ("--kwargs", "nope"), ("--countdown", "soon")])
def test_a_wrong_argument_is_named(broker, flag, value):
    done = broker.command.run("call", "drill.add", flag, value)
    assert 0 < done.returncode < 128
    assert flag in done.stderr
    assert "Fatal error" not in done.stderr


@pytest.mark.parametrize("text", ["2036-12-24T18:00:00", "2036-12-24 18:00:00Z", "2036-12-24T20:00:00+02:00"])
def test_a_task_may_be_sent_for_a_time_and_up_to_a_time(redis, command, text):
    command.call("proj.add", 2, 3, options=("--eta", text, "--expires", text))
    headers = json.loads(redis.lindex("celery", 0))["headers"]
    assert headers["eta"] == headers["expires"] == "2036-12-24T18:00:00+00:00"


def test_an_expiry_in_seconds_counts_from_now(redis, command):
    command.call("proj.add", 2, 3, options=("--expires", "90"))
    expires = datetime.fromisoformat(json.loads(redis.lindex("celery", 0))["headers"]["expires"])
    assert 80 < (expires - datetime.now(timezone.utc)).total_seconds() <= 90


def test_a_task_that_has_expired_is_revoked(any_worker, broker):
    any_worker().ready()
    sent = broker.command.call("drill.add", 2, 3, options=("--expires", "2026-01-01T00:00:00"))
    assert "expired" in broker.command.failure(sent)


@pytest.mark.parametrize(
    "flags", [["--eta", "soon"], ["--eta", "2026-13-01"], ["--expires", "never"], ["--expires", "0"], ["--expires", "nan"],
              ["--eta", "2026-12-24", "--countdown", "3"]], ids=" ".join)  # fmt: skip
def test_a_wrong_time_is_named(command, flags):
    done = command.run("call", "proj.add", *flags)
    assert done.returncode == 2 and flags[0] in done.stderr, done.stderr


def test_an_unknown_signal_is_named(broker):
    done = broker.command.run("revoke", "x", "--terminate", "--signal", "SIGNOPE")
    assert 0 < done.returncode < 128 and "SIGNOPE" in done.stderr


def test_a_signal_is_for_terminate(command):
    done = command.run("revoke", "x", "--signal", "SIGKILL")
    assert done.returncode == 2 and "--signal is for --terminate" in done.stderr


def test_no_time_is_enough_for_one_look(any_worker, broker):
    any_worker().ready()
    sent = broker.command.call("drill.add", 2, 3)
    broker.command.result(sent)
    done = broker.command.run("result", sent, "--timeout", "0")
    assert done.returncode == 0 and json.loads(done.stdout) == 5
    assert broker.command.run("result", "nobody", "--timeout", "0").returncode == 75


def test_what_a_task_says_of_its_failure_does_not_reach_the_terminal_as_it_is(worker, command):
    sent = command.call("drill.fail", "a\x1b[2Jb\nc")
    done = command.run("result", sent, "--timeout", "10", "--traceback")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr and r"a\u{1b}[2Jb\u{a}c" in done.stderr.splitlines()[-1]


LOOKING = [["result", "x", "--timeout", "1"], ["status"], ["queues"], ["queues", "move", "a", "b"], ["purge", "a", "--yes"], ["dead"],
           ["dead", "show", "x"], ["revoke", "x"]]  # fmt: skip


@pytest.mark.parametrize("arguments", [["call", "drill.add"], *LOOKING], ids=" ".join)
def test_a_wrong_setting_is_no_failure_of_the_task(command, arguments):
    done = command.run(*arguments, COPPICE_BROKER_URL="redis//nowhere")
    assert done.returncode == 2 and done.stderr.startswith("coppice: ") and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_of_a_mistyped_path_no_file_is_made(command, arguments, folder):
    done = command.run(*arguments, COPPICE_BROKER_URL=f"sqlite:///{folder}/mistyped.db")
    assert done.returncode == 69 and f"{folder}/mistyped.db: no such file" in done.stderr
    assert list(folder.iterdir()) == []


def test_a_broker_that_is_down_is_told_in_one_line(command):
    for arguments in (["call", "drill.add"], ["result", "x", "--timeout", "2"], ["revoke", "x"]):
        done = command.run(*arguments, COPPICE_BROKER_URL="redis://127.0.0.1:1/0")
        assert 0 < done.returncode < 128
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "127.0.0.1:1" in done.stderr


def test_progress_is_shown_as_a_bar_on_a_terminal_alone(any_worker, broker):
    any_worker(app=EXAMPLE).ready()
    sent = broker.command.call("data.process", list(range(5)))
    piped = broker.command.run("result", sent, "--timeout", "20")
    assert json.loads(piped.stdout) == {"processed": 5}
    assert "\r" not in piped.stdout + piped.stderr and "\x1b" not in piped.stdout + piped.stderr

    sent = broker.command.call("data.process", list(range(5)))
    master, slave = pty.openpty()
    seen = bytearray()

    def collect():
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                return
            if not data:
                return
            seen.extend(data)

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    done = subprocess.run([COPPICE, "result", sent, "--timeout", "20"], env=broker.command.environment | {"TERM": "xterm"},
                          stdin=slave, stdout=slave, stderr=slave, timeout=30)  # fmt: skip
    os.close(slave)
    reader.join(5)
    os.close(master)
    assert done.returncode == 0
    assert b"/5" in seen or b"%" in seen, bytes(seen)
    assert b"processed" in seen


def test_a_call_made_by_us_runs_on_pythons_terms(redis, command, redis_server):
    """What our command sends is what a Python client would send."""
    sent = command.call("proj.add", 2, y=3)
    message = json.loads(redis.lindex("celery", 0))
    assert message["headers"]["id"] == sent and message["headers"]["task"] == "proj.add"
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "celery"}
    assert message["properties"]["delivery_tag"]
    import base64

    assert json.loads(base64.b64decode(message["body"]))[:2] == [[2], {"y": 3}]


def test_pythons_worker_runs_what_our_command_sends(command, redis_server):
    from celery.contrib.testing.worker import start_worker

    from support.celery_app import make_app

    app = make_app(redis_server.url())

    @app.task(name="proj.add")
    def add(x, y):
        return x + y

    app.loader.import_module("celery.contrib.testing.tasks")
    try:
        with start_worker(app, pool="solo", perform_ping_check=False):
            assert command.result(command.call("proj.add", 2, y=3)) == 5
    finally:
        app.close()
