"""What an unmodified Celery client sends that is not done here is said, or refused: never dropped in silence."""

import re

import pytest

from celery import chain, chord, group


def sums(app, *numbers):
    return [app.signature("drill.add", (number, 1)) for number in numbers]


def test_a_chain_runs_its_first_task_with_a_warning(worker, app):
    first = chain(app.signature("drill.add", (2, 3)), app.signature("drill.add", (1,))).apply_async()
    assert first.parent.get(timeout=10) == 5
    warning = worker.log.wait(rf"WARNING/MainProcess\] Task drill\.add\[{first.parent.id}\] is run without its chain: (.*)")
    assert "--refuse-canvas" in warning[1]
    # Once a minute and name, whatever is passed over.
    app.send_task("drill.add", (2, 3), link=app.signature("drill.add", (1,))).get(timeout=10)
    app.send_task("drill.tsum", ([1, 2],), link_error=app.signature("drill.add", (1,))).get(timeout=10)
    worker.log.wait(r"Task drill\.tsum\[.*\] is run without its errbacks: ")
    assert len(worker.log.find("is run without its")) == 2


def test_a_setting_refuses_what_would_be_dropped(redis_worker, app, command, redis):
    worker = redis_worker("--refuse-canvas").ready()
    sent = {
        "chain": chain(app.signature("drill.exit", (3,)), app.signature("drill.add", (1,))).apply_async().parent,
        "callbacks": app.send_task("drill.exit", (3,), link=app.signature("drill.add", (1,))),
        "chord": chord(group(app.signature("drill.exit", (3,)), app.signature("drill.exit", (3,))), app.signature("drill.tsum")).apply_async()
        .parent.results[0],
    }
    for part, result in sent.items():
        with pytest.raises(Exception, match=rf"the message has canvas \({part}\), which is not done yet"):
            result.get(timeout=10)
        assert f"the message has canvas ({part})" in command.run("dead").stdout
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert not worker.log.find("exited with")


def test_the_tasks_that_every_celery_has_are_done_or_refused_by_name(worker, app, command):
    # As beat sends it each day: beat knows no module of the worker's.
    cleanup = app.send_task("celery.backend_cleanup", expires=12 * 3600)
    assert cleanup.get(timeout=10) is None and cleanup.state == "SUCCESS"
    for name in ["accumulate", "chain", "chord", "chord_unlock", "chunks", "group", "map", "starmap"]:
        with pytest.raises(Exception, match=rf"celery\.{name} is a built-in task of Celery's canvas, which is not there yet"):
            app.send_task(f"celery.{name}", ([],)).get(timeout=10)
    dead = command.run("dead").stdout
    assert "celery.map" in dead and "backend_cleanup" not in dead


def test_a_task_of_the_log_says_how_long_it_ran(worker, app):
    done = app.send_task("drill.sleep", (0.3,))
    done.get(timeout=10)
    took = worker.log.wait(rf"Task drill\.sleep\[{done.id}\] succeeded in (\d+\.\d+)s: 0\.3$")
    assert 0.3 <= float(took[1]) < 2
    retried = app.send_task("drill.retry", (1,))
    retried.get(timeout=10)
    worker.log.wait(rf"Task drill\.retry\[{retried.id}\] retry: Retry in 1s$")
    assert re.fullmatch(r"1", str(retried.result))
