"""On RabbitMQ, as on Redis: what can't be run is kept aside with its reason; the worker lives and the next task runs."""

import json
import pickle
import zlib

import amqp
import pytest

from support.celery_app import make_app
from support.envelope import record
from support.waiting import until

GOOD = b'[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


def bad(body=GOOD, content_type="application/json", content_encoding="utf-8", headers=None, **properties):
    """(body, properties) of drill.add's message; `headers` go over what is usual, and None removes one."""
    usual = {"lang": "py", "task": "drill.add", "id": "bad", "eta": None, "expires": None, "retries": 0, "timelimit": [None, None],
             "root_id": "bad", "parent_id": None, "ignore_result": False}  # fmt: skip
    made = usual | (headers or {})
    for name in [name for name, value in (headers or {}).items() if value is None]:
        del made[name]
    given = {"content_type": content_type, "content_encoding": content_encoding, "application_headers": made, "delivery_mode": 2}
    return body, {key: value for key, value in (given | properties).items() if value is not None}


CASES = {
    "random bytes": bad(bytes(range(256)) * 20),
    "empty": bad(b""),
    "not JSON": bad(b"{not json"),
    "arguments that are no array": bad(b'["2, 3", {}, {}]'),
    "keywords that are no object": bad(b"[[2, 3], [], {}]"),
    "no headers": bad(application_headers=None),
    "empty headers": bad(application_headers={}),
    "no task": bad(headers={"task": None}),
    "no id": bad(headers={"id": None}),
    "a task that is a number": bad(headers={"task": 17}),
    "no properties at all": (GOOD, {}),
    "a pickle": bad(pickle.dumps(([2, 3], {}, {}), protocol=2), "application/x-python-serialize", "binary"),
    "an unknown content type": bad(content_type="application/x-nobody"),
    "an unknown compression": bad(headers={"compression": "application/x-nobody"}),
    "a broken compression": bad(headers={"compression": "application/x-gzip"}),
    "65 MB in 64 kB": bad(zlib.compress(GOOD[:-1] + b" " * (65 << 20) + b"]"), headers={"compression": "application/x-gzip"}),
    "an eta that is no time": bad(headers={"eta": "tomorrow, perhaps"}),
    "an eta that is a number": bad(headers={"eta": 17}),
    "an expiry that is no time": bad(headers={"expires": "2026-99-99T99:99:99"}),
    "negative retries": bad(headers={"retries": -1}),
    "retries that are no number": bad(headers={"retries": "three"}),
    "nested 10,000 deep": bad(b"[[" + b"[" * 10_000 + b"]" * 10_000 + b"], {}, {}]"),
    "an unknown task": bad(headers={"task": "no.such.task"}),
    "100 MB": bad(b'[["' + b"x" * 100_000_000 + b'", 3], {}, {}]'),
}


@pytest.fixture
def worker(workers, rabbitmq):
    return workers(environment=rabbitmq.environment).ready()


@pytest.fixture
def app(rabbitmq, redis_server):
    made = make_app(rabbitmq.url, redis_server.url())
    yield made
    made.close()


@pytest.fixture
def publish(rabbitmq):
    """Publishes confirmed messages to the queue celery, as they are given."""
    connection = amqp.Connection(f"127.0.0.1:{rabbitmq.server.port}", virtual_host=rabbitmq.vhost, confirm_publish=True)
    connection.connect()
    channel = connection.channel()

    def send(body, properties):
        channel.basic_publish(amqp.Message(body, channel=channel, **properties), routing_key="celery", timeout=20)

    yield send
    connection.close()


def empty(rabbitmq):
    return all(count == (0, 0) for count in rabbitmq.queues().values())


@pytest.mark.parametrize("name", CASES)
def test_it_is_kept_aside_and_the_next_task_runs(worker, app, redis, rabbitmq, publish, name):
    publish(*CASES[name])
    assert app.send_task("drill.add", (2, 3)).get(timeout=15) == 5
    until(lambda: redis.llen("coppice.dead") == 1, timeout=15, what=lambda: "the dead letter\n" + worker.log.text)
    kept = json.loads(redis.lindex("coppice.dead", 0))
    assert kept["v"] == 1 and kept["queue"] == "celery" and kept["reason"] and kept["at"]
    until(lambda: empty(rabbitmq), timeout=15, what=lambda: f"an empty queue: {rabbitmq.queues()}", every=0.2)
    assert worker.running
    headers = CASES[name][1].get("application_headers") or {}
    if headers.get("id") and headers.get("task"):
        until(lambda: (record(redis, "bad") or {}).get("status") == "FAILURE", what="the verdict")


def test_an_eta_of_the_year_9999_is_parked_and_harms_nobody(worker, app, rabbitmq, publish):
    publish(*bad(headers={"eta": "9999-12-31T23:59:59.999999+00:00"}))
    assert app.send_task("drill.add", (2, 3)).get(timeout=15) == 5
    until(lambda: sum(map(sum, rabbitmq.queues().values())) == 1, timeout=15, what=lambda: f"one parked message: {rabbitmq.queues()}", every=0.2)
    assert worker.running


@pytest.mark.parametrize("size", [131_064, 131_065, 131_072])
def test_headers_as_large_as_rabbitmq_takes_them_are_read(worker, app, redis, publish, size):
    """RabbitMQ does not count the eight bytes around a frame: one such message of any producer would stop the queue."""

    def frame(padding):
        body, properties = bad(headers={"id": "large", "padding": "x" * padding})
        # Class, weight and the body's size, then the properties.
        return 12 + len(amqp.Message(body, **properties)._serialize_properties()), (body, properties)

    publish(*frame(size - frame(0)[0])[1])
    assert app.send_task("drill.add", (2, 3)).get(timeout=15) == 5
    until(lambda: (record(redis, "large") or {}).get("status") == "SUCCESS", timeout=15, what="its result")
    assert redis.llen("coppice.dead") == 0


def test_a_hundred_bad_messages_among_good_ones_cost_only_themselves(worker, app, redis, publish):
    names = ("random bytes", "no headers", "negative retries", "nested 10,000 deep")
    sent = []
    for n in range(100):
        publish(*CASES[names[n % 4]])
        sent.append(app.send_task("drill.add", (n, 1)))
    assert [result.get(timeout=30) for result in sent] == [n + 1 for n in range(100)]
    until(lambda: redis.llen("coppice.dead") == 100, timeout=15, what="all dead letters")
