"""How many children there are: by this process's share of the machine, or between two bounds with the work."""

import os

import pytest

from support.waiting import until

# What the tests' own machine feels is not what they are about.
CALM = "cpu=100,memory=100,io=100"


def test_auto_is_what_the_process_may_use(redis_worker):
    one = min(os.sched_getaffinity(0))
    worker = redis_worker("--concurrency", "auto", concurrency=None, prefix=("taskset", "-c", one)).all_ready(1)
    assert len(worker.children) == 1
    other = redis_worker(concurrency=None, node="other@local").all_ready(1)
    until(lambda: 1 <= len(other.children) <= len(os.sched_getaffinity(0)), what="the children")


def test_the_pool_grows_with_the_work_and_shrinks_without(redis_worker, app):
    worker = redis_worker(
        "--autoscale", "6,2", "--max-pressure", CALM, concurrency=None, environment={"AUTOSCALE_KEEPALIVE": "0.5"}).all_ready()  # fmt: skip
    assert len(worker.children) == 2
    sent = [app.send_task("drill.sleep", (1,)) for _ in range(24)]
    until(lambda: len(worker.children) == 6, what="six children")
    assert [task.get(timeout=20) for task in sent] == [1] * 24
    until(lambda: len(worker.children) == 2, timeout=15, what=lambda: worker.log.text)
    worker.log.wait("2 children in place of 3")
    # Nobody was killed for it.
    assert "ERROR" not in worker.log.text
    sizes = [int(found[1]) for found in worker.log.find(r"(\d+) children in place of")]
    assert max(sizes) == 6 and sizes[-1] == 2


def test_no_growth_into_pressure(redis_worker, app, results):
    """Where the kernel tells of none, nothing is in the way; a limit of 0 is in the way at the least."""
    pressure = [float(open(f"/proc/pressure/{name}").readline().split("avg10=")[1].split()[0]) for name in ("cpu", "memory", "io")]
    worker = redis_worker("--autoscale", "6,1", "--max-pressure", "cpu=0,memory=0,io=0", concurrency=None).ready()
    sent = [app.send_task("drill.sleep", (3,)) for _ in range(3)]
    results.wait(sent[0].id, "STARTED")
    if max(pressure) < 1:
        pytest.skip("the machine is at rest: there is no pressure to be seen")
    worker.log.wait(r"1 children have more than enough to do, but there will be no more: \d+ % pressure on (cpu|memory|io)")
    assert len(worker.children) == 1


def test_signals_do_not_change_what_follows_the_work(redis_worker):
    import signal

    worker = redis_worker("--autoscale", "3,2", concurrency=None).all_ready()
    worker.signal(signal.SIGTTIN)
    worker.log.wait("follows --autoscale")
    assert len(worker.children) == 2


@pytest.mark.parametrize(
    "flags",
    [["--autoscale", "0"], ["--autoscale", "3,"], ["--autoscale", "a,b"], ["--autoscale", "1,2,3"], ["--autoscale", "3,1", "-c", "2"],
     ["--max-pressure", "cpu=1"], ["--autoscale", "2", "--max-pressure", "disk=1"], ["--autoscale", "2", "--max-pressure", "cpu=101"],
     ["-c", "none"], ["-c", "0"], ["--shutdown-timeout", "0"], ["--soft-shutdown-timeout", "-1"]],
)  # fmt: skip
def test_a_flag_that_makes_no_sense_is_named(command, flags):
    from support import DRILL

    done = command.run("worker", "-A", DRILL, *flags)
    assert done.returncode == 2, done.stderr
    assert flags[-2] in done.stderr or flags[0] in done.stderr


def test_a_flag_goes_before_the_files_other_one(redis_worker, folder):
    settings = folder / "settings.yaml"
    settings.write_text("worker: {concurrency: 3}\n")
    worker = redis_worker("--config", settings, "--autoscale", "2,2", concurrency=None).all_ready()
    assert len(worker.children) == 2
    assert worker.stop() == 0
    settings.write_text('worker: {autoscale: "4,3", max-pressure: cpu=50}\n')
    worker = redis_worker("--config", settings, concurrency=2, node="other@local").all_ready()
    assert len(worker.children) == 2
