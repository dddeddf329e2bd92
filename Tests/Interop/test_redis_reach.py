"""Where a Redis is and what is on it, with a Celery client or worker on the other side: key prefix, TLS, and what dead Python workers left."""

import json
import re
import ssl
import subprocess
import time

import pytest
from celery import Celery

from support import venv_python
from support.celery_worker import CeleryWorker
from support.command import Command
from support.redis_rights import documented_rights
from support.server import free_port
from support.waiting import until


def app_with_prefix(url, broker_prefix, result_prefix):
    app = Celery("prefixed", broker=url, backend=url)
    app.conf.broker_transport_options = {"global_keyprefix": broker_prefix}
    app.conf.result_backend_transport_options = {"global_keyprefix": result_prefix}
    app.set_current()
    return app


@pytest.mark.parametrize("prefix", ["px_", "shop"])
def test_a_key_prefix_stands_before_everything(prefix, redis_server, redis, workers):
    url = f"{redis_server.url()}?global_keyprefix={prefix}"
    worker = workers(environment={"COPPICE_BROKER_URL": url}).ready()
    app = app_with_prefix(redis_server.url(), prefix, prefix)
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
        later = app.send_task("drill.add", (1, 1), countdown=4)
        until(lambda: redis.zcard(f"{prefix}coppice.parked.celery"), what="the parked message")
        assert later.get(timeout=10) == 2
        assert app.control.ping(timeout=2) == [{"test@local": {"ok": "pong"}}]
        command = Command({"COPPICE_BROKER_URL": url})
        assert command.result(command.call("drill.add", 4, 5)) == 9
        assert worker.stop() == 0
        assert [key for key in redis.keys() if not key.startswith(prefix.encode())] == []
    finally:
        app.close()


CALL_AND_GET = """
import sys
from celery import Celery, __version__
assert __version__ == "5.3.6"
app = Celery(broker=sys.argv[1], backend=sys.argv[1])
app.conf.broker_transport_options = app.conf.result_backend_transport_options = {"global_keyprefix": "fba:celery:"}
print(app.send_task("drill.add", (2, 3)).get(timeout=10))
"""


def test_a_client_of_celery_5_3_with_a_key_prefix_gets_its_result(redis_server, workers):
    url = f"{redis_server.url()}?global_keyprefix=fba:celery:&global_keyprefix_underscore=always"
    workers(environment={"COPPICE_BROKER_URL": url}).ready()
    client = subprocess.run(
        [venv_python("celery-5.3"), "-c", CALL_AND_GET, redis_server.url()], capture_output=True, text=True, timeout=30)  # fmt: skip
    assert client.stdout == "5\n", client.stderr


def test_lists_as_an_application_lays_them_out(redis_server, redis, workers, ledger):
    """As Onyx does."""
    options = {"priority_steps": [0, 1, 2, 3, 4], "sep": ":", "queue_order_strategy": "priority"}
    environment = {"COPPICE_BROKER_URL": f"{redis_server.url()}?priority_steps=0,1,2,3,4&sep=:&queue_order_strategy=priority"}
    app = Celery("client", broker=redis_server.url(), backend=redis_server.url())
    app.conf.broker_transport_options = options
    app.set_current()
    try:
        sent = {priority: app.send_task("drill.witness.late", (0, 0), priority=priority) for priority in (4, 1, 3, 0, 2)}
        assert redis.llen("celery:4") == 1
        assert re.search(r"celery\s+5\b", Command(environment).run("queues").stdout)
        workers(*ledger.flags, environment=environment | ledger.environment, concurrency=1).ready()
        assert [result.get(timeout=10) for result in sent.values()] == [0] * 5
        assert [run.id for run in ledger.runs()] == [sent[priority].id for priority in range(5)]
        # The mailbox of the answer is bound with the client's `sep`, too.
        assert app.control.ping(timeout=2) == [{"test@local": {"ok": "pong"}}]
    finally:
        app.close()


def test_messages_of_a_dead_python_worker_run_here(redis_server, redis, workers, folder, ledger):
    """Celery alone would run them after its time-out plus up to a hundred seconds."""
    python = CeleryWorker(folder, redis_server.url(), redis_server.url(), ledger.path, options={"visibility_timeout": 3})
    app = Celery("client", broker=redis_server.url(), backend=redis_server.url())
    app.set_current()
    try:
        python.start()
        sent = [app.send_task("drill.witness.late", (60, 0)) for _ in range(2)]
        until(lambda: len(ledger.runs()) >= 2, what="both to run in Python")
        # Claimed by the dead one, not begun.
        sent += [app.send_task("drill.witness.late", (0, 0), priority=index) for index in range(4)]
        until(lambda: redis.hlen("unacked") == 6, what="all to be held by Python")
        python.kill()
        # Those that ran for a minute there do it here, too; they are none of this test's business.
        url = f"{redis_server.url()}?visibility_timeout=3"
        workers(*ledger.flags, environment={"COPPICE_BROKER_URL": url} | ledger.environment, concurrency=4).ready()
        start = time.monotonic()
        for result in sent[2:]:
            assert result.get(timeout=30) == 0
        assert time.monotonic() - start < 25
        # Once there and once here.
        until(lambda: [len(ledger.runs(result.id)) for result in sent] == [2, 2, 1, 1, 1, 1], what=lambda: f"all runs: {ledger.runs()}")
        held = [json.loads(entry) for entry in redis.hvals("unacked")]
        assert all(entry[0]["properties"]["delivery_info"]["redelivered"] and entry[0]["headers"]["redelivered"] for entry in held)
    finally:
        python.close()
        app.close()


def test_the_documented_rights_are_enough(own_redis, workers):
    server = own_redis()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "coppice", "on", ">pw-of-coppice", *documented_rights())
        client.execute_command("ACL", "LOG", "RESET")
        url = f"redis://coppice:pw-of-coppice@127.0.0.1:{server.port}/0"
        worker = workers(environment={"COPPICE_BROKER_URL": url}).ready()
        command = Command({"COPPICE_BROKER_URL": url})
        assert command.result(command.call("drill.add", 2, 3)) == 5
        command.call("drill.late", 1)
        # Longer than a lease's renewal, and a shutdown that gives it up.
        command.failure(command.call("drill.fail", "on purpose"))
        time.sleep(1.5)
        assert worker.stop() == 0
        assert "refused" not in worker.log.text
        assert [entry for entry in client.execute_command("ACL", "LOG")] == []


@pytest.fixture
def tls_redis(own_redis, tmp_path):
    """A Redis that speaks TLS alone: (port, file of the authority)."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL, capture_output=True)

    authority, key, request, certificate = (tmp_path / name for name in ("ca.pem", "key.pem", "request.pem", "cert.pem"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=test authority", "-keyout", tmp_path / "ca-key.pem", "-out", authority)
    openssl("req", *curve, "-subj", "/CN=redis", "-keyout", key, "-out", request)
    (tmp_path / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", tmp_path / "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-extfile", tmp_path / "extensions", "-out", certificate)  # fmt: skip
    port = free_port()
    # The plain port stays open for the fixture's own eyes.
    own_redis(*map(str, ("--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", authority,
                        "--tls-auth-clients", "no")))  # fmt: skip
    return port, authority


def test_over_tls_with_a_celery_client(tls_redis, workers):
    port, authority = tls_redis
    url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={authority}"
    workers(environment={"COPPICE_BROKER_URL": url}).ready()
    app = Celery("secret", broker=url, backend=url)
    app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(authority)}
    app.set_current()
    try:
        assert [app.send_task("drill.add", (n, n)).get(timeout=10) for n in range(5)] == [0, 2, 4, 6, 8]
    finally:
        app.close()


def test_a_certificate_that_nobody_vouches_for_is_told(tls_redis, workers):
    port, _ = tls_redis
    worker = workers(environment={"COPPICE_BROKER_URL": f"rediss://127.0.0.1:{port}/0"}).start()
    worker.log.wait(r"Can't reach the broker rediss://127\.0\.0\.1:\d+/0: .*not trusted.*ssl_ca_certs")
    # It goes on trying, and stops when it is told to.
    assert worker.stop() == 0
