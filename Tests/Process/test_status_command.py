"""`coppice status`: who is up, by their own word."""

import json
import time

from support.celery_app import make_app


def test_each_node_says_how_it_is(any_worker, broker):
    any_worker(node="one@local").all_ready()
    any_worker(node="two@local").all_ready()
    begun = time.monotonic()
    done = broker.command.run("status")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "->  one@local: OK" and lines[1].strip().startswith("ready: 2/2 children ready")
    assert lines[2] == "->  two@local: OK" and lines[3].strip().startswith("ready: 2/2 children ready")
    assert lines[-1] == "2 nodes online."
    if broker.kind != "rabbitmq":
        # All that heard it have answered: nobody is waited for. RabbitMQ does not tell how many that are.
        assert time.monotonic() - begun < 1.0


def test_programs_are_told_in_json(any_worker, broker):
    any_worker(node="one@local").all_ready()
    broker.command.result(broker.command.call("drill.add", 2, 3))
    done = broker.command.run("status", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    [node] = told["nodes"]
    assert told["v"] == 1 and node["node"] == "one@local"
    assert node["status"].startswith("ready: 2/2 children ready") and node["run_seconds"]["count"] == 1


def test_two_nodes_of_one_name_are_two_and_the_second_says_so(any_worker, broker):
    first = any_worker(node="same@local").all_ready()
    assert not first.log.find("is called same@local, too")
    second = any_worker(node="same@local", concurrency=1).ready()
    second.log.wait(r"WARNING.*Another node that is up is called same@local, too")
    done = broker.command.run("status")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("->  same@local: OK") == 2, done.stdout
    assert "2/2 children ready" in done.stdout and "1/1 children ready" in done.stdout
    assert "same@local is the name of 2 nodes." in done.stdout and done.stdout.splitlines()[-1] == "2 nodes online."
    assert len(second.log.find("is called same@local, too")) == 1


def test_a_namesake_that_is_dead_is_none(any_worker, broker):
    any_worker(node="same@local").all_ready().kill()
    again = any_worker(node="same@local").all_ready()
    other = any_worker(node="other@local").all_ready()
    assert broker.command.run("status").stdout.count("same@local: OK") == 1
    assert not again.log.find("is called") and not other.log.find("is called")


def test_nobody_there_is_told(broker):
    broker.command.call("drill.add", 2, 3)
    done = broker.command.run("status", "--timeout", "0.5", "--json")
    assert done.returncode == 69 and "no nodes replied" in done.stderr
    assert json.loads(done.stdout) == {"v": 1, "nodes": []}


def test_a_python_worker_is_shown_too(redis_worker, redis, command, redis_server):
    from celery.contrib.testing.worker import start_worker

    redis_worker(node="ours@local").ready()
    app = make_app(redis_server.url())
    app.loader.import_module("celery.contrib.testing.tasks")
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, hostname="theirs@local"):
            done = command.run("status")
            listed = command.run("status", "--json")
    finally:
        app.close()
    assert done.returncode == 0, done.stderr
    nodes = {node["node"]: node["status"] for node in json.loads(listed.stdout)["nodes"]}
    assert nodes["ours@local"] and nodes["theirs@local"] is None
    assert "->  ours@local: OK" in done.stdout and "->  theirs@local: OK" in done.stdout and "2 nodes online." in done.stdout
    assert "KeyError" not in done.stdout
    # Nothing is left of the question.
    assert not [key for key in redis.keys("*.reply.celery.pidbox")]
    assert not [member for member in redis.smembers("_kombu.binding.reply.celery.pidbox") if member]


def test_a_wrong_timeout_is_a_wrong_argument(broker):
    assert broker.command.run("status", "--timeout", "0").returncode == 2
