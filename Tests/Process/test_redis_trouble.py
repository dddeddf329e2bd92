"""A Redis that can't be used as it is, or goes away: one clear line, and nothing lost."""

import time

import pytest

from support.celery_app import make_app
from support.envelope import envelope, record, send
from support.proxy import Proxy
from support.waiting import until


@pytest.fixture
def on(workers):
    """A worker on a server of the test's own, not started."""

    def make(server, *flags, url=None, **options):
        return workers(*flags, environment={"COPPICE_BROKER_URL": url or server.url()}, **options)

    return make


@pytest.fixture
def app_on(request):
    def make(server):
        app = make_app(server.url())
        request.addfinalizer(app.close)
        return app

    return make


def never_ready_but_civil(worker):
    """Either way is right, refusing to start or waiting for better times; a trap or a READY is not."""
    assert worker.notify.wait("READY=1", timeout=1) is None
    code = worker.process.poll()
    assert code is None or 0 < code < 128
    assert "Fatal error" not in worker.log.text


def test_a_read_only_replica_is_named_as_such(own_redis, on):
    primary = own_redis()
    replica = own_redis("--replicaof", "127.0.0.1", str(primary.port))
    worker = on(replica).start()
    worker.log.wait(r"(?i)(read-?only|replica)", timeout=10)
    never_ready_but_civil(worker)


def test_an_acl_user_without_scripts_is_told_which_right_is_missing(own_redis, on):
    server = own_redis()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", ">pw-of-limited", "~*", "&*", "+@all", "-@scripting")
    worker = on(server, url=f"redis://limited:pw-of-limited@127.0.0.1:{server.port}/0").start()
    worker.log.wait(r"(?i)(eval|script|ACL|permission)", timeout=10)
    never_ready_but_civil(worker)
    assert "pw-of-limited" not in worker.log.text


@pytest.mark.parametrize("url", ["redis://:wrong-password@127.0.0.1:{port}/0", "redis://127.0.0.1:{port}/0"])
def test_a_wrong_or_missing_password_is_said_without_saying_it(own_redis, on, url):
    server = own_redis(password="right-password")
    worker = on(server, url=url.format(port=server.port)).start()
    worker.log.wait(r"(?i)(password|auth)", timeout=10)
    never_ready_but_civil(worker)
    assert "wrong-password" not in worker.log.text


def test_something_that_is_not_redis_is_survived(workers):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        def talk():
            while True:
                try:
                    peer, _ = server.accept()
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    peer.close()
                except OSError:
                    return

        threading.Thread(target=talk, daemon=True).start()
        port = server.getsockname()[1]
        worker = workers(environment={"COPPICE_BROKER_URL": f"redis://127.0.0.1:{port}/0"}).start()
        worker.log.wait(rf"{port}", timeout=10)
        never_ready_but_civil(worker)
        if worker.running:
            assert worker.stop(timeout=5) == 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_may_evict_is_warned_about(own_redis, on, policy):
    server = own_redis("--maxmemory", "100mb", "--maxmemory-policy", policy)
    worker = on(server).ready()
    found = worker.log.wait(r".*(?i:evict).*", timeout=5)
    assert policy in found.group(0) and "noeviction" in found.group(0)


def test_a_server_that_does_not_evict_is_not_warned_about(own_redis, on):
    worker = on(own_redis("--maxmemory", "100mb")).ready()
    assert not worker.log.find(r"(?i)evict")


def test_a_restart_of_redis_is_survived_and_nothing_durable_is_lost(own_redis, on, app_on):
    server = own_redis("--appendonly", "yes", "--appendfsync", "always")
    worker = on(server, concurrency=1).ready()
    app = app_on(server)
    sent = [app.send_task("drill.late", (0.2,)) for _ in range(5)]
    server.kill()
    server.start()
    for task in sent:
        # The client lost its subscription too; the stored record tells.
        until(lambda: app.AsyncResult(task.id).state == "SUCCESS", timeout=25, what=lambda: "the result\n" + worker.log.text, every=0.05)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert worker.notify.messages("READY=1") == ["READY=1"]


def test_scripts_that_the_server_forgot_are_loaded_again(own_redis, on, app_on):
    server = own_redis()
    on(server).ready()
    app = app_on(server)
    with server.client() as client:
        client.script_flush()
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


def test_a_closed_connection_is_opened_again(own_redis, on, app_on):
    server = own_redis()
    worker = on(server).ready()
    app = app_on(server)
    with server.client() as client:
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    assert app.control.ping(timeout=2, destination=["test@local"])
    assert worker.running


def test_a_message_whose_taking_was_not_heard_of_is_not_lost(own_redis, on):
    """Redis took it from the queue for us, and the answer was lost with the connection."""
    server = own_redis()
    wire = Proxy(server.port)
    try:
        on(server, url=f"redis://127.0.0.1:{wire.port}/0").ready()
        wire.cut_at(b"when-cut")
        with server.client() as client:
            send(client, envelope("drill.add", (2, 3), id="when-cut"))
            assert wire.cut.wait(10)
            until(lambda: (record(client, "when-cut") or {}).get("status") == "SUCCESS", what="the result")
            until(lambda: client.hlen("unacked") == 0, what="the settlement")
    finally:
        wire.close()


def test_a_task_that_ran_while_the_connection_was_away_is_settled_once(own_redis, on, app_on):
    server = own_redis()
    on(server, concurrency=1).ready()
    app = app_on(server)
    sent = app.send_task("drill.late", (1.5,))
    until(lambda: app.AsyncResult(sent.id).state == "STARTED", what="the start")
    pid = app.AsyncResult(sent.id).info["pid"]
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    until(lambda: app.AsyncResult(sent.id).state == "SUCCESS", timeout=15, what="the result", every=0.05)
    assert app.AsyncResult(sent.id).result == pid
    with server.client() as client:
        until(lambda: client.hlen("unacked") == 0 and client.llen("celery") == 0, what="the settlement")


def test_a_server_that_hangs_for_a_while_loses_no_task(own_redis, on, app_on):
    server = own_redis()
    worker = on(server).ready()
    app = app_on(server)
    sent = [app.send_task("drill.add", (n, 1)) for n in range(10)]
    server.pause()
    paused_at = time.monotonic()
    until(lambda: time.monotonic() - paused_at > 2, what="two seconds of silence")
    server.resume()
    for n, task in enumerate(sent):
        until(lambda: app.AsyncResult(task.id).state == "SUCCESS", timeout=20, what="the result", every=0.05)
        assert app.AsyncResult(task.id).result == n + 1
    assert worker.running


def test_a_full_server_is_said_so_and_works_again_when_there_is_room(own_redis, on, app_on):
    server = own_redis("--maxmemory", "0")
    worker = on(server).ready()
    app = app_on(server)
    with server.client() as client:
        send(client, envelope("drill.sleep", (1.0,), id="when-full"))
        until(lambda: client.get("celery-task-meta-when-full"), what="the start")
        client.config_set("maxmemory", "1mb")
        worker.log.wait(r"(?i)(OOM|maxmemory|memory)", timeout=10)
        assert worker.running
        client.config_set("maxmemory", "0")
        until(lambda: app.AsyncResult("when-full").state == "SUCCESS", timeout=20, what=lambda: "the result\n" + worker.log.text)
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
