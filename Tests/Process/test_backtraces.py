"""Crash reports of Swift's runtime: in the story of the death where they are switched on, and nobody waits for them."""

import re
import shutil
import time

import pytest
from billiard.exceptions import WorkerLostError

from support.envelope import record
from support.waiting import until

# Reports its crash as the runtime does: it says so, stands still, and goes on for longer than a child may be silent. The first task of the
# pool is the one that crashes.
CRASHING = """
def crash(args, kwargs):
    os.write(2, b"before\\n\\n*** Signal 11: Backtracing from 0x7f0000000000...")
    time.sleep(args[0])
    os.write(2, b" done ***\\n\\n*** Program crashed: Bad pointer dereference ***\\n" + b"frame of the crash\\n" * 30)
    import signal
    os.kill(os.getpid(), signal.SIGSEGV)

def ready():
    # Heartbeats are promised, and none comes: nothing here runs for long but the crash.
    send(1, struct.pack(">HHBI", 1, 0, 1, 2) + b"".join(data(name) + data("{}") for name in TASKS))

TASKS["bad.crash"] = crash
TASKS["good.add"] = lambda args, kwargs: sum(args)
"""


def lost(sent, timeout=15):
    with pytest.raises(WorkerLostError) as raised:
        sent.get(timeout=timeout)
    return raised.value.args[0]


def test_nobody_waits_for_a_report_and_no_silence_cuts_it_off(redis_worker, app, redis, results, python_worker):
    worker = redis_worker("--backtraces", concurrency=1, app=python_worker(CRASHING)).ready()
    sent = app.send_task("bad.crash", (4.5,))
    results.wait(sent.id, "STARTED")
    started_at = time.monotonic()
    assert app.send_task("good.add", (2, 3)).get(timeout=3) == 5
    assert time.monotonic() - started_at < 2
    text = lost(sent)
    assert time.monotonic() - started_at > 4.4
    assert "signal 11 (SIGSEGV)" in text and "It crashed." in text
    report = record(redis, sent.id)["traceback"]
    assert "  before\n" in report and "  *** Program crashed: Bad pointer dereference ***\n" in report
    assert report.count("frame of the crash") == 30
    assert worker.stop() == 0


def test_a_report_that_was_somebody_elses_ends_nothing(redis_worker, app):
    worker = redis_worker("--backtraces", concurrency=1).ready()
    first = worker.children
    # The tool that the task has called has crashed, say; the task goes on, and its child beats.
    sent = app.send_task("drill.lament", (["*** Signal 11: Backtracing from 0x7f0000000000... done ***"], 2.5, 0))
    worker.log.wait(r"Backtracing from")
    assert app.send_task("drill.add", (2, 3)).get(timeout=2) == 5
    assert sent.get(timeout=10) == 1
    until(lambda: len(worker.children) == 1 and worker.children != first, what="the end of the first child")
    assert not worker.log.find("exited with")


def test_without_the_flag_there_is_no_report(redis_worker, app, redis):
    worker = redis_worker().all_ready()
    sent = app.send_task("drill.crash", (0, 0))
    assert "It crashed." in lost(sent, timeout=5)
    assert "Backtracing" not in worker.log.text and "Program crashed" not in worker.log.text


@pytest.mark.skipif(not shutil.which("swift"), reason="wants Swift's own backtracer")
def test_a_crash_is_told_with_its_backtrace(redis_worker, app, redis):
    worker = redis_worker("--backtraces", concurrency=1).ready()
    sent = app.send_task("drill.crash", (0, 0))
    text = lost(sent, timeout=35)
    assert "It crashed." in text
    report = record(redis, sent.id)["traceback"]
    assert re.search(r"\*\*\* Program crashed: Illegal instruction at 0x[0-9a-f]+ \*\*\*", report)
    assert re.search(r'Thread \d+ "handlers" crashed:', report)
    assert "DrillWorker.swift" in report
    # The successor was there before the report was.
    worker.log.wait("exited with signal")
    lines = worker.log.text
    assert [found.start() for found in re.finditer("is ready", lines)][1] < lines.index("exited with signal")
