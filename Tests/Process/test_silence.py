"""Connections that fall silent: the sockets stay open, nothing is forwarded any more. Each is found and replaced within ten seconds, at
whatever step of the protocol it happens, and SIGTERM is obeyed meanwhile."""

import json
import signal
import time

import pytest

from support.celery_app import make_app
from support.proxy import Proxy
from support.waiting import until

WITHIN = 10


def method(class_number, method_number):
    """How a method frame of AMQP begins, behind its channel and size."""
    return bytes((0, class_number, 0, method_number))


# What is swallowed first; the wire carries nothing from there on.
BEFORE_READY = {
    ("redis", "the first word"): b"*",
    ("redis", "subscribing"): b"SUBSCRIBE",
    ("redis", "asking for facts"): b"INFO",
    ("redis", "loading the scripts"): b"LOAD",
    ("redis", "binding"): b"SADD",
    ("redis", "the doorbell"): b"TRACKING",
    ("redis", "the lease"): b"coppice.nodes",
    ("rabbitmq", "the first word"): b"AMQP\x00",
    ("rabbitmq", "connection.start-ok"): method(10, 11),
    ("rabbitmq", "connection.tune-ok"): method(10, 31),
    ("rabbitmq", "connection.open"): method(10, 40),
    ("rabbitmq", "channel.open"): method(20, 10),
    ("rabbitmq", "exchange.declare"): method(40, 10),
    ("rabbitmq", "queue.declare"): method(50, 10),
    ("rabbitmq", "basic.qos"): method(60, 10),
    ("rabbitmq", "basic.consume"): method(60, 20),
    ("rabbitmq", "confirm.select"): method(85, 10),
}

AT_WORK = {
    ("redis", "the bell"): (b"__redis__:invalidate", True),
    ("redis", "setting the bell"): (b"CACHING", False),
    ("redis", "the message"): (b"when-silent", True),
    ("redis", "the records"): (b"SUCCESS", False),
    ("redis", "the lease"): (b"coppice.nodes", False),
    ("rabbitmq", "the message"): (b"when-silent", True),
    ("rabbitmq", "the acknowledgement"): (method(60, 80), False),
}


@pytest.fixture
def line(request, workers):
    """A worker behind a wire that can fall silent, on the broker of the test's first parameter."""
    made = []

    def make(kind, *flags, **options):
        if kind == "redis":
            server = request.getfixturevalue("redis_server")
            wire, results, port = Proxy(server.port), server, server.port
            environment = {"COPPICE_BROKER_URL": server.url().replace(f":{port}/", f":{wire.port}/")}
            url = server.url()
        else:
            vhost, results = request.getfixturevalue("rabbitmq"), request.getfixturevalue("redis_server")
            port = vhost.server.port
            wire, url = Proxy(port), vhost.url
            environment = vhost.environment | {"COPPICE_BROKER_URL": url.replace(f":{port}/", f":{wire.port}/")}
        app = make_app(url, results.url())
        made.extend((app, wire))
        return Line(wire, workers(*flags, environment=environment, **options), app, results, url)

    yield make
    for each in made:
        each.close()


class Line:
    def __init__(self, wire, worker, app, results, url):
        self.wire, self.worker, self.app, self.results, self.url = wire, worker, app, results, url

    def succeeded(self, id, timeout):
        def stored():
            with self.results.client() as client:
                text = client.get(f"celery-task-meta-{id}")
            return text and json.loads(text)["status"] == "SUCCESS"

        until(stored, timeout=timeout, what=lambda: f"the result of {id}\n{self.worker.log.text}", every=0.02)


@pytest.mark.parametrize(("kind", "step"), BEFORE_READY)
def test_silence_before_ready_only_delays_it(line, kind, step):
    this = line(kind)
    this.wire.silence_at(BEFORE_READY[kind, step], connections="all")
    this.worker.start()
    assert this.wire.silent.wait(5), f"no {step}"
    silent_at = time.monotonic()
    this.worker.ready(timeout=WITHIN)
    assert time.monotonic() - silent_at < WITHIN
    this.app.send_task("drill.add", (2, 3), task_id="after")
    this.succeeded("after", timeout=5)


@pytest.mark.parametrize(("kind", "step"), AT_WORK)
def test_silence_at_work_is_found_within_ten_seconds(line, kind, step):
    this = line(kind)
    this.worker.ready()
    marker, answers = AT_WORK[kind, step]
    this.wire.silence_at(marker, connections="all", answers=answers)
    this.app.send_task("drill.add", (2, 3), task_id="when-silent")
    sent = 1
    # Found before the bell was set, a message does not ring it; the next one does.
    while not this.wire.silent.wait(1) and sent < 5:
        this.app.send_task("drill.add", (2, 3), task_id=f"before-{sent}")
        sent += 1
    assert this.wire.silent.is_set(), f"no {step}"
    this.app.send_task("drill.add", (2, 3), task_id="after")
    silent_at = time.monotonic()
    for task in ("when-silent", "after"):
        this.succeeded(task, timeout=silent_at + WITHIN - time.monotonic())
    assert this.worker.notify.messages("READY=1") == ["READY=1"]


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_an_idle_connection_that_falls_silent_is_replaced_within_ten_seconds(line, kind):
    this = line(kind)
    this.worker.ready()
    this.wire.silence()
    this.app.send_task("drill.add", (2, 3), task_id="idle")
    this.succeeded("idle", timeout=WITHIN)


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_a_task_that_runs_meanwhile_is_not_disturbed_and_runs_once(line, kind, ledger):
    this = line(kind, *ledger.flags)
    this.worker.environment |= ledger.environment
    this.worker.ready()
    for name in ("late", "early"):
        this.app.send_task(f"drill.witness.{name}", (8, 0), task_id=name)
    until(lambda: len(ledger.runs()) == 2, what="both starts")
    this.wire.silence()
    for name in ("late", "early"):
        this.succeeded(name, timeout=8 + WITHIN)
        assert len(ledger.runs(name)) == 1


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_what_a_lost_connection_held_is_run_by_no_other_master(line, kind, workers, ledger):
    this = line(kind, *ledger.flags, node="one@local")
    this.worker.environment |= ledger.environment
    this.worker.ready()
    for name in ("late", "early"):
        this.app.send_task(f"drill.witness.{name}", (4, 0), task_id=name)
    until(lambda: len(ledger.runs()) == 2, what="both starts")
    direct = {"COPPICE_BROKER_URL": this.url, "COPPICE_RESULT_BACKEND": this.results.url()}
    workers(*ledger.flags, environment=direct | ledger.environment, node="two@local").ready()
    this.wire.reset()
    for name in ("late", "early"):
        this.succeeded(name, timeout=4 + WITHIN)
        assert len(ledger.runs(name)) == 1
    assert not this.worker.log.find("void")


@pytest.mark.parametrize("step", ["idle", "at work"])
@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_sigterm_is_obeyed_on_silent_connections(line, kind, step, ledger):
    this = line(kind, *ledger.flags)
    this.worker.environment |= ledger.environment
    this.worker.ready()
    if step == "at work":
        this.app.send_task("drill.witness.late", (1, 0), task_id="running")
        until(ledger.runs, what="the start")
    this.wire.silence()
    silent_at = time.monotonic()
    this.worker.signal(signal.SIGTERM)
    assert this.worker.notify.wait("STOPPING=1", timeout=1)
    assert this.worker.wait(timeout=WITHIN) == 0
    if step == "at work":
        # It had its time to end, and its outcome went out over a new connection.
        assert ledger.runs()[0].end
        this.succeeded("running", timeout=1)
    assert time.monotonic() - silent_at < WITHIN


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_sigterm_is_obeyed_before_the_first_connection_stands(line, kind):
    this = line(kind)
    this.wire.silence_at(BEFORE_READY[kind, "the first word"], connections="all")
    this.worker.start()
    assert this.wire.silent.wait(5)
    this.worker.signal(signal.SIGTERM)
    assert this.worker.wait(timeout=5) == 0
