"""Flags above the environment above the file; a wrong value is named with its source."""

import pytest

from support import DRILL
from support.celery_app import make_app
from support.command import Command


def works(worker, url):
    worker.ready()
    app = make_app(url)
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()


NOWHERE = "redis://127.0.0.1:1/0"


def test_the_separate_variables_make_up_the_broker(workers, redis_server):
    works(
        workers(environment={
            "CELERY_BROKER": "redis", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_server.port),
            "REDIS_PASSWORD": redis_server.password, "CELERY_BROKER_REDIS_DATABASE": "3",
        }),
        redis_server.url(3),
    )  # fmt: skip


def test_the_url_goes_before_the_separate_variables(workers, redis_server):
    works(
        workers(environment={"COPPICE_BROKER_URL": redis_server.url(), "CELERY_BROKER": "redis", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}),
        redis_server.url(),
    )


def test_a_flag_goes_before_the_environment(workers, redis_server):
    works(workers("-b", redis_server.url(), environment={"COPPICE_BROKER_URL": NOWHERE}), redis_server.url())


def test_a_result_backend_of_its_own(workers, redis_server):
    worker = workers("--result-backend", redis_server.url(5), environment={"COPPICE_BROKER_URL": redis_server.url(4)}).ready()
    app = make_app(redis_server.url(4), redis_server.url(5))
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()
    assert worker.running


def test_the_file_is_read_and_the_environment_goes_before_it(workers, redis_server, folder):
    settings = folder / "coppice.yaml"
    settings.write_text(f"version: 1\nCOPPICE_BROKER_URL: {redis_server.url(6)}\n")
    works(workers("--config", settings), redis_server.url(6))
    settings.write_text(f"version: 1\nCOPPICE_BROKER_URL: {NOWHERE}\n")
    works(workers("--config", settings, environment={"COPPICE_BROKER_URL": redis_server.url()}), redis_server.url())


def test_systemds_credentials_go_between_the_environment_and_the_file(workers, redis_server, folder):
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "COPPICE_BROKER_URL").write_text(redis_server.url() + "\n")
    settings = folder / "coppice.yaml"
    settings.write_text(f"version: 1\nCOPPICE_BROKER_URL: {NOWHERE}\n")
    works(workers("--config", settings, environment={"CREDENTIALS_DIRECTORY": str(credentials)}), redis_server.url())
    (credentials / "COPPICE_BROKER_URL").write_text(NOWHERE)
    works(
        workers("--config", settings, environment={"CREDENTIALS_DIRECTORY": str(credentials), "COPPICE_BROKER_URL": redis_server.url()}),
        redis_server.url(),
    )


def test_a_wrong_credential_is_named_and_one_that_cannot_be_read_is_no_missing_one(folder):
    (folder / "REDIS_PORT").write_text("six")
    wrong([], {"CELERY_BROKER": "redis", "CREDENTIALS_DIRECTORY": str(folder)}, "credential REDIS_PORT", "six")
    (folder / "REDIS_PORT").unlink()
    (folder / "REDIS_PORT").mkdir()
    wrong([], {"CELERY_BROKER": "redis", "CREDENTIALS_DIRECTORY": str(folder)}, "credential REDIS_PORT")


def wrong(arguments, environment, *mentions):
    done = Command(environment).run("worker", "-A", DRILL, *arguments, timeout=10)
    assert 0 < done.returncode < 128, (done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for text in mentions:
        assert text in done.stderr, (text, done.stderr)
    return done.stderr


@pytest.mark.parametrize(
    "name, value",
    [
        ("CELERY_TASK_MAX_RETRIES", "a few"),
        ("CELERY_TASK_MAX_RETRIES", "-1"),
        ("CELERY_BROKER", "carrier-pigeon"),
        ("DATETIME_TIMEZONE", "Mars/Olympus_Mons"),
    ],
)
def test_a_wrong_variable_is_named(name, value):
    wrong([], {name: value}, name, value)


@pytest.mark.parametrize("name", ["COPPICE_BROKER_URL", "COPPICE_RESULT_BACKEND"])
@pytest.mark.parametrize(
    "value, reason",
    [
        ("gopher://:hunter2@x/0", "'gopher'"),
        ("redis://:hunter2@x:port/0", "port"),
        ("redis://:hunter2@x/zero", "database"),
        ("redis://:%hunter2@x/0", "%"),
        ("hunter2@x", "not a URL"),
        ("x:hunter2@y", "not a URL"),
        ("hunter2://x", "scheme"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(name, value, reason):
    assert "hunter2" not in wrong([], {name: value}, name, reason)


@pytest.mark.parametrize("name, value", [("REDIS_PORT", "99999"), ("REDIS_PORT", "six"), ("CELERY_BROKER_REDIS_DATABASE", "zero")])
def test_a_wrong_part_of_the_brokers_address_is_named(name, value):
    wrong([], {"CELERY_BROKER": "redis", name: value}, name, value)


def test_a_wrong_flag_is_named():
    wrong(["-b", "gopher://x/0"], {}, "--broker")


def test_a_wrong_line_in_the_file_is_named_with_the_file(folder):
    settings = folder / "coppice.yaml"
    settings.write_text("version: 1\nCELERY_TASK_MAX_RETRIES: a few\n")
    wrong(["--config", settings], {}, str(settings), "CELERY_TASK_MAX_RETRIES")
    settings.write_text("version: 1\nno_such_setting: 1\n")
    wrong(["--config", settings], {}, str(settings), "no_such_setting")
    settings.write_text("COPPICE_BROKER_URL: [unclosed\n")
    wrong(["--config", settings], {}, str(settings))
    wrong(["--config", folder / "missing.yaml"], {}, "missing.yaml")


def rabbitmq_parts(rabbitmq):
    return {
        "CELERY_BROKER": "rabbitmq", "CELERY_RABBITMQ_HOST": "127.0.0.1", "CELERY_RABBITMQ_PORT": str(rabbitmq.server.port),
        "CELERY_RABBITMQ_USERNAME": "guest", "CELERY_RABBITMQ_PASSWORD": "guest", "CELERY_RABBITMQ_VHOST": rabbitmq.vhost,
    }  # fmt: skip


def test_the_separate_variables_make_up_a_rabbitmq_whose_results_go_over_rpc(workers, rabbitmq):
    workers(environment=rabbitmq_parts(rabbitmq)).ready()
    app = make_app(rabbitmq.url, "rpc://")
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()


def test_a_rabbitmq_in_the_file_with_results_in_redis(workers, rabbitmq, redis_server, folder):
    settings = folder / "coppice.yaml"
    lines = [f"{name}: '{value}'" for name, value in (rabbitmq_parts(rabbitmq) | {"COPPICE_RESULT_BACKEND": redis_server.url()}).items()]
    settings.write_text("\n".join(["version: 1", *lines]) + "\n")
    workers("--config", settings).ready()
    app = make_app(rabbitmq.url, redis_server.url())
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()


def test_a_wrong_part_of_rabbitmqs_address_is_named():
    wrong([], {"CELERY_BROKER": "rabbitmq", "CELERY_RABBITMQ_PORT": "six"}, "CELERY_RABBITMQ_PORT", "six")
    wrong(["-b", "amqp://guest:hunter2@127.0.0.1:port//"], {}, "--broker")
    wrong([], {"COPPICE_BROKER_URL": "redis://127.0.0.1", "COPPICE_RESULT_BACKEND": "rpc://"}, "COPPICE_RESULT_BACKEND", "rpc://")
    wrong([], {"COPPICE_BROKER_URL": "amqp://127.0.0.1//", "COPPICE_RESULT_BACKEND": "amqp://127.0.0.1//"}, "rpc://")


def test_a_redis_cluster_is_refused(workers, own_redis):
    server = own_redis("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
    worker = workers(environment={"COPPICE_BROKER_URL": server.url()}).start()
    worker.log.wait(r"ERROR.*Redis Cluster", timeout=10)
    assert worker.notify.wait("READY=1", timeout=0.5) is None
    # Once, however often it is tried again.
    assert len(worker.log.find("Cluster")) == 1, worker.log.text


def test_the_time_zone_reaches_the_log(workers, redis_server, app):
    from datetime import datetime, timezone

    worker = workers(environment={"COPPICE_BROKER_URL": redis_server.url(), "DATETIME_TIMEZONE": "Asia/Shanghai"}).ready()
    there = (datetime.now(timezone.utc).hour + 8) % 24
    found = worker.log.wait(r"(\d\d):\d\d:\d\d")
    assert int(found.group(1)) in (there, (there - 1) % 24), worker.log.text


def test_queues_are_declared_in_the_file(workers, redis_server, redis, folder):
    path = folder / "coppice.yaml"
    path.write_text(
        "version: 1\nqueues:\n  plain: {}\n  reports: {exchange: documents, exchange_type: topic, routing_key: 'report.#'}\n")
    environment = {"COPPICE_BROKER_URL": redis_server.url(), "COPPICE_CONFIG": str(path)}
    workers(environment=environment).ready()
    command = Command(environment)
    sent = command.run("call", "drill.add", "--args", "[2, 3]", "--exchange", "documents", "--routing-key", "report.daily")
    assert sent.returncode == 0, sent.stderr
    assert command.result(sent.stdout.strip()) == 5
    assert command.result(command.call("drill.add", 1, 1, options=["-Q", "plain"])) == 2
    nobody = command.run("call", "drill.add", "--exchange", "documents", "--routing-key", "bill.daily")
    assert nobody.returncode != 0 and "no queue is bound" in nobody.stderr


@pytest.mark.parametrize(
    "queues, complaint",
    [
        ("queues: [a, b]", "not a mapping"),
        ("queues: {a: {exchange_type: headers}}", "one of direct, topic, fanout"),
        ("queues: {a: {type: stream}}", "one of classic, quorum"),
        ("queues: {a: {max_priority: 256}}", "from 1 to 255"),
        ("queues: {a: {colour: red}}", "unknown option colour"),
        ('queues: {"a\\"b": {}}', "not a queue name"),
    ],
)
def test_a_wrong_queue_is_named(workers, folder, queues, complaint):
    path = folder / "coppice.yaml"
    path.write_text(f"version: 1\n{queues}\n")
    worker = workers(environment={"COPPICE_CONFIG": str(path)}).start()
    assert worker.wait() == 2
    assert complaint in worker.log.text and str(path) in worker.log.text


def test_the_workers_flags_may_stand_in_the_file(workers, redis_server, folder):
    settings = folder / "worker.yaml"
    settings.write_text(
        f"version: 1\nCOPPICE_BROKER_URL: {redis_server.url()}\n"
        f"worker:\n  app: {DRILL}\n  concurrency: 3\n  queues: [first, second]\n  hostname: filed@here\n  loglevel: info\n"
    )  # fmt: skip
    worker = workers("--config", settings, "-l", "info", app=None, concurrency=None, node=None).all_ready(3)
    assert worker.log.find(r"concurrency: +3 ") and worker.log.find(r"queues: +first, second") and worker.log.find("filed@here")


def test_a_flag_goes_before_the_file(workers, redis_server, folder):
    settings = folder / "worker.yaml"
    settings.write_text(f"version: 1\nCOPPICE_BROKER_URL: {redis_server.url()}\nworker: {{app: /nowhere, concurrency: 3}}\n")
    worker = workers("--config", settings, concurrency=1).ready()
    worker.log.wait("concurrency: +1 ")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{concurency: 3}", "unknown name concurency; known: app, "),
        ("{concurrency: many}", "worker: concurrency in .*: 'many' is not a whole number from 1 to 10000"),
        ("{concurrency: [1, 2]}", "one value is wanted"),
        ("{time-limit: -1}", "not a number of seconds above 0"),
        ("{app: {a: b}}", "neither plain text nor a list"),
        ("[a]", "not a mapping of names to values"),
    ],
)
def test_a_wrong_worker_member_is_named(workers, folder, text, what):
    settings = folder / "worker.yaml"
    settings.write_text(f"version: 1\nworker: {text}\n")
    worker = workers("--config", settings, concurrency=None).start()
    assert worker.wait() == 2
    worker.log.wait(what)
