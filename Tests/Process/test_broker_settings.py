"""Which broker and which result store it is: what is named, by whom, and what is passed over."""

import pytest

from support import DRILL, ROOT
from support.celery_app import make_app
from support.command import Command

# Nobody listens there; what is tried is told by the error.
HOST = "127.0.0.1"


def redis(port, database=0, word=""):
    return f"redis://{word}{HOST}:{port}/{database}"


@pytest.fixture
def places(folder):
    """Where a call is sent to, where a result is looked for, and what is said besides: places({variable: value}, file text, *flags)."""

    def find(environment, file=None, *flags):
        environment = {"XDG_STATE_HOME": str(folder)} | environment
        if file is not None:
            path = folder / "coppice.yaml"
            path.write_text("version: 1\n" + file)
            environment["COPPICE_CONFIG"] = str(path)
        command = Command(environment)
        sent = command.run("call", "drill.add", *flags)
        assert sent.returncode in (0, 69), sent.stderr
        looked = command.run("result", "x", "--timeout", "0.1", *flags)
        *said, broker = sent.stderr.strip().splitlines() or [""]
        store = looked.stderr.strip()
        if sent.returncode == 0:
            said.append(broker)
            broker = "embedded"
        else:
            broker = broker.removeprefix("coppice: the broker ").partition(": ")[0]
        store = "rpc" if "rpc://" in store else store.removeprefix("coppice: the result store ").rpartition(": connect")[0] or "embedded"
        return broker, store, "\n".join(said)

    return find


def refused(environment, *mentions, file=None, folder=None):
    if file is not None:
        (folder / "coppice.yaml").write_text("version: 1\n" + file)
        environment = environment | {"COPPICE_CONFIG": str(folder / "coppice.yaml")}
    done = Command(environment).run("worker", "-A", DRILL, timeout=10)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, (done.returncode, done.stderr)
    for text in mentions:
        assert text in done.stderr, (text, done.stderr)
    return done.stderr


# MARK: what is read


def test_celerys_own_names_are_read(workers, redis_server):
    workers(environment={"CELERY_BROKER_URL": redis_server.url(1), "CELERY_RESULT_BACKEND": redis_server.url(2)}).ready()
    app = make_app(redis_server.url(1), redis_server.url(2))
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()


PARTS = {"CELERY_BROKER": "redis", "REDIS_HOST": HOST, "REDIS_PORT": "3"}


@pytest.mark.parametrize(
    "environment, broker, store",
    [
        ({"COPPICE_BROKER_URL": redis(1), "CELERY_BROKER_URL": redis(2)} | PARTS, redis(1), redis(1)),
        ({"CELERY_BROKER_URL": redis(2)} | PARTS, redis(2), redis(2)),
        (PARTS, redis(3), redis(3)),
        ({"CELERY_BROKER_URL": redis(1), "COPPICE_RESULT_BACKEND": redis(4), "CELERY_RESULT_BACKEND": redis(5)}, redis(1), redis(4)),
        (PARTS | {"CELERY_RESULT_BACKEND": redis(5)}, redis(3), redis(5)),
    ],
)
def test_within_the_environment_urls_go_before_parts_and_coppices_names_before_celerys(places, environment, broker, store):
    assert places(environment) == (broker, store, "")


def test_a_flag_goes_before_all_of_it(places):
    environment = {"COPPICE_BROKER_URL": redis(1), "CELERY_BROKER_URL": redis(2)} | PARTS
    assert places(environment, f"COPPICE_BROKER_URL: {redis(4)}\n", "-b", redis(9)) == (redis(9), redis(9), "")


BROKERS = "redis://…, amqp://… or sqlite:///PATH"
STORES = "redis://…, sqlite:///PATH or, with a RabbitMQ broker, rpc://"


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("CELERY_BROKER_URL", "sqs://AKIA:hunter2@", f"unknown scheme 'sqs': use {BROKERS}"),
        ("CELERY_BROKER_URL", "memory://", "unknown scheme 'memory'"),
        ("CELERY_BROKER_URL", "hunter2", "not a URL"),
        ("CELERY_RESULT_BACKEND", "django-db", f"'django-db' is nothing that coppice can serve: use {STORES}"),
        ("CELERY_RESULT_BACKEND", "db+postgresql://u:hunter2@h/d", f"unknown scheme 'db+postgresql': use {STORES}"),
        ("CELERY_RESULT_BACKEND", "file:///tmp/hunter2", "unknown scheme 'file'"),
    ],
)
def test_what_cannot_be_served_is_refused_and_named(folder, name, value, told):
    others = {} if name == "CELERY_BROKER_URL" else {"CELERY_BROKER_URL": redis(1)}
    assert "hunter2" not in refused(others | {name: value}, f"environment variable {name}: ", told)
    assert "hunter2" not in refused(others, f"{name} in {folder}/coppice.yaml: ", told, file=f"{name}: '{value}'\n", folder=folder)


# MARK: what nobody has named


@pytest.mark.parametrize("name, value, login", [("REDIS_HOST", HOST, ""), ("REDIS_PASSWORD", "hunter2", "default:**@")])
def test_a_host_or_a_password_alone_means_redis_with_a_warning(places, name, value, login):
    broker, store, said = places({name: value, "REDIS_PORT": "3"})
    place = f"redis://{login}{HOST if name == 'REDIS_HOST' else 'localhost'}:3/0"
    assert (broker, store) == (place, place)
    assert f"no broker is named, and for environment variable {name} Redis is used" in said and "hunter2" not in said


def test_a_host_alone_is_warned_of_by_the_worker(workers, redis_server, app):
    parts = {"REDIS_HOST": HOST, "REDIS_PORT": str(redis_server.port), "REDIS_PASSWORD": redis_server.password}
    worker = workers("-l", "warning", environment=parts).ready()
    worker.log.wait(r"WARNING/MainProcess\] no broker is named, and for environment variable REDIS_HOST Redis is used")
    assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5


@pytest.mark.parametrize("name", ["REDIS_PORT", "CELERY_BROKER_REDIS_DATABASE", "CELERY_BACKEND_REDIS_DATABASE"])
def test_other_parts_of_redis_name_no_broker(places, name):
    assert places({name: "3"})[:2] == ("embedded", "embedded")


@pytest.mark.parametrize("name", ["HOST", "PORT", "USERNAME", "PASSWORD", "VHOST"])
def test_parts_of_a_rabbitmq_alone_are_asked_about(name):
    refused({f"CELERY_RABBITMQ_{name}": "1"}, f"CELERY_RABBITMQ_{name}", "CELERY_BROKER=rabbitmq")


def test_a_port_as_kubernetes_sets_it_is_passed_over(places):
    linked = {"REDIS_PORT": "tcp://10.0.0.1:6379", "CELERY_RABBITMQ_PORT": "tcp://10.0.0.1:5672"}
    broker, store, said = places({"REDIS_HOST": "127.0.0.2"} | linked)
    assert (broker, store) == ("redis://127.0.0.2:6379/0", "redis://127.0.0.2:6379/0")
    assert "environment variable REDIS_PORT is passed over" in said and "RABBITMQ" not in said
    broker, store, said = places({"CELERY_BROKER": "rabbitmq", "CELERY_RABBITMQ_HOST": "127.0.0.2"} | linked)
    assert (broker, store) == ("amqp://127.0.0.2:5672//", "rpc")
    assert "environment variable CELERY_RABBITMQ_PORT is passed over" in said and "REDIS_PORT" not in said
    assert places(linked)[0] == "embedded"


def test_the_embedded_broker_is_said_with_its_place(workers, folder):
    worker = workers("-l", "warning").ready()
    place = f"no broker is configured, and the embedded one is used: sqlite:///{folder}/state/coppice/coppice.db"
    assert worker.log.wait(r"WARNING/MainProcess\] (no broker.*)").group(1) == place
    command = Command({"XDG_STATE_HOME": f"{folder}/state"})
    sent = command.run("call", "drill.add", "--args", "[2, 3]")
    assert sent.stderr == f"coppice: {place}\n" and command.result(sent.stdout.strip()) == 5
    status = command.run("status")
    assert status.returncode == 0 and status.stderr == f"coppice: {place}\n"


def test_what_is_no_setting_is_told_with_what_was_meant(workers, redis_server):
    mistyped = {"COPPICE_BROKER_ULR": "redis://:hunter2@h", "CELERY_BROKR": "redis", "CELERY_TIMEZONE": "UTC", "COPPICE_X": "1"}
    worker = workers("-l", "warning", environment={"COPPICE_BROKER_URL": redis_server.url()} | mistyped).ready()
    told = worker.log.wait(r"variables that are no settings here are passed over: (.*)").group(1)
    assert told == "CELERY_BROKR (CELERY_BROKER?), COPPICE_BROKER_ULR (COPPICE_BROKER_URL?), CELERY_TIMEZONE, COPPICE_X"
    assert "hunter2" not in worker.log.text
    many = {f"CELERY_TASK_{n:02}": "1" for n in range(14)} | {"CELERY_BROKER_URI": "x"}
    worker = workers("-l", "warning", environment={"COPPICE_BROKER_URL": redis_server.url()} | many).ready()
    told = worker.log.wait(r"no settings here are passed over: (.*)").group(1)
    assert told.startswith("CELERY_BROKER_URI (CELERY_BROKER_URL?), CELERY_TASK_00") and told.endswith("CELERY_TASK_08, and 5 more")


def test_settings_that_are_known_are_not_told(workers, redis_server, folder):
    (folder / "coppice.yaml").write_text(f"version: 1\nCOPPICE_BROKER_URL: {redis_server.url()}\n")
    known = {"COPPICE_CONFIG": f"{folder}/coppice.yaml", "CELERY_TASK_MAX_RETRIES": "3", "CELERY_RABBITMQ_HOST": "h"}
    worker = workers("-l", "warning", environment=known).ready()
    worker.stop()
    assert "passed over" not in worker.log.text


# MARK: a file that names a broker


APPLICATION = {
    "CELERY_BROKER": "rabbitmq", "CELERY_BROKER_URL": redis(2), "CELERY_RESULT_BACKEND": redis(5), "REDIS_HOST": "127.0.0.9",
    "REDIS_PORT": "9", "CELERY_BROKER_REDIS_DATABASE": "9", "CELERY_BACKEND_REDIS_DATABASE": "9",
    "CELERY_BACKEND_REDIS_PREFIX": "app:", "CELERY_RABBITMQ_HOST": "127.0.0.9", "CELERY_RABBITMQ_PORT": "9",
    "CELERY_RABBITMQ_VHOST": "app",
}  # fmt: skip


@pytest.mark.parametrize(
    "file, broker, store",
    [
        (f"COPPICE_BROKER_URL: {redis(1)}\n", redis(1), redis(1)),
        (f"COPPICE_BROKER_URL: {redis(1)}\nCOPPICE_RESULT_BACKEND: {redis(6)}\n", redis(1), redis(6)),
        (f"CELERY_BROKER_URL: {redis(1)}\n", redis(1), redis(1)),
        (f"CELERY_BROKER: redis\nREDIS_PORT: 1\n", "redis://localhost:1/0", "redis://localhost:1/0"),
        (f"CELERY_BROKER: rabbitmq\nCELERY_RABBITMQ_HOST: {HOST}\nCELERY_RABBITMQ_PORT: 1\n", f"amqp://{HOST}:1//", "rpc"),
        (f"CELERY_BROKER: rabbitmq\nCELERY_RABBITMQ_PORT: 1\nREDIS_PORT: 3\n", "amqp://localhost:1//", "redis://localhost:3/0"),
    ],
)
def test_it_is_moved_by_no_variable_of_an_application(places, file, broker, store):
    found = places(APPLICATION, file)
    assert found[:2] == (broker, store)
    # What would have moved it is told, and what it names by itself.
    told = {name for name in ("CELERY_BROKER", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND") if f"variable {name} is passed over" in found[2]}
    assert told == {"CELERY_BROKER", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"} - ({"CELERY_BROKER"} if "CELERY_BROKER: rabbit" in file else set())
    assert places({}, file) == (broker, store, "")


def test_the_units_own_settings_are_moved_by_none_of_them_either(folder):
    demo = (ROOT / "deploy/systemd/demo.yaml").read_text().replace("/var/lib/coppice", str(folder))
    (folder / "demo.yaml").write_text(demo)
    done = Command(APPLICATION | {"COPPICE_CONFIG": f"{folder}/demo.yaml"}).run("call", "drill.add")
    assert done.returncode == 0 and (folder / "demo.db").exists(), done.stderr


def test_credentials_that_name_a_broker_are_not_moved_either(places, folder):
    (folder / "credentials").mkdir()
    (folder / "credentials" / "COPPICE_BROKER_URL").write_text(redis(1))
    assert places(APPLICATION | {"CREDENTIALS_DIRECTORY": f"{folder}/credentials"})[:2] == (redis(1), redis(1))


def test_only_coppices_own_variables_go_before_it(places):
    own = {"COPPICE_BROKER_URL": redis(7), "COPPICE_RESULT_BACKEND": redis(8)}
    assert places(APPLICATION | own, f"COPPICE_BROKER_URL: {redis(1)}\n")[:2] == (redis(7), redis(8))


def test_a_file_that_names_results_alone_keeps_them(places):
    environment = {"CELERY_BROKER_URL": redis(2), "CELERY_RESULT_BACKEND": redis(5)}
    broker, store, said = places(environment, f"COPPICE_RESULT_BACKEND: {redis(6)}\n")
    assert (broker, store) == (redis(2), redis(6)) and "CELERY_RESULT_BACKEND is passed over" in said


def test_a_file_that_says_no_more_than_the_kind_is_filled_in(places):
    parts = {"REDIS_HOST": HOST, "REDIS_PORT": "3", "CELERY_BROKER_REDIS_DATABASE": "4"}
    assert places(parts, "CELERY_BROKER: redis\n") == (redis(3, 4), redis(3, 4), "")


def test_a_login_that_is_missing_is_filled_in(places):
    file = f"CELERY_BROKER: rabbitmq\nCELERY_RABBITMQ_HOST: {HOST}\nCELERY_RABBITMQ_PORT: 1\n"
    assert places({"CELERY_RABBITMQ_USERNAME": "u"}, file)[0] == f"amqp://u:**@{HOST}:1//"
    assert places({"CELERY_RABBITMQ_USERNAME": "u"}, file + "CELERY_RABBITMQ_USERNAME: v\n")[0] == f"amqp://v:**@{HOST}:1//"


def test_a_redis_without_a_password_works_whatever_password_an_application_has(workers, own_redis, folder):
    server = own_redis()
    (folder / "coppice.yaml").write_text(f"version: 1\nCOPPICE_BROKER_URL: {server.url()}\n")
    workers("--config", folder / "coppice.yaml", environment={"REDIS_HOST": "127.0.0.9", "REDIS_PASSWORD": "another's"}).ready()
    app = make_app(server.url())
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=10) == 5
    finally:
        app.close()


# MARK: passwords and results


def test_a_password_completes_urls_without_one(workers, redis_server):
    bare = f"redis://{HOST}:{redis_server.port}"
    environment = {"COPPICE_BROKER_URL": f"{bare}/0", "COPPICE_RESULT_BACKEND": f"{bare}/1", "REDIS_PASSWORD": redis_server.password}
    workers(environment=environment).ready()
    command = Command(environment)
    assert command.result(command.call("drill.add", 2, 3)) == 5
    wrong = Command(environment | {"REDIS_PASSWORD": ""}).run("call", "drill.add")
    assert wrong.returncode == 69 and "put it into the URL or REDIS_PASSWORD" in wrong.stderr


@pytest.mark.parametrize(
    "environment, store",
    [
        ({"CELERY_BROKER": "redis"}, redis(3)),
        ({"CELERY_BROKER": "redis", "CELERY_BROKER_REDIS_DATABASE": "1"}, redis(3, 1)),
        ({"CELERY_BROKER": "redis", "CELERY_BROKER_REDIS_DATABASE": "1", "CELERY_BACKEND_REDIS_DATABASE": "2"}, redis(3, 2)),
        ({"CELERY_BROKER": "redis", "CELERY_BACKEND_REDIS_PREFIX": "fba:"}, redis(3) + "?global_keyprefix=fba:"),
        ({"CELERY_BROKER": "rabbitmq"}, redis(3)),
        ({"CELERY_BROKER": "rabbitmq", "CELERY_BROKER_REDIS_DATABASE": "1"}, redis(3, 1)),
        ({"CELERY_BROKER": "rabbitmq", "CELERY_BROKER_REDIS_DATABASE": "1", "CELERY_BACKEND_REDIS_DATABASE": "2"}, redis(3, 2)),
        ({"CELERY_BROKER": "rabbitmq", "CELERY_BACKEND_REDIS_PREFIX": "fba:"}, redis(3) + "?global_keyprefix=fba:"),
        ({"CELERY_BROKER": "rabbitmq", "COPPICE_RESULT_BACKEND": "rpc://"}, "rpc"),
    ],
)
def test_the_database_and_the_prefix_of_results(places, environment, store):
    assert places({"REDIS_HOST": HOST, "REDIS_PORT": "3", "CELERY_RABBITMQ_PORT": "1"} | environment)[1] == store


@pytest.mark.parametrize("name, value", [("CELERY_BACKEND_REDIS_DATABASE", "two"), ("CELERY_BACKEND_REDIS_PREFIX", "a*")])
@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_a_wrong_part_of_the_results_place_is_named(kind, name, value):
    refused({"CELERY_BROKER": kind, "REDIS_HOST": HOST, name: value}, f"environment variable {name}: ")


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_the_systems_own_settings_bring_a_result_to_a_client_that_waits_on_redis(workers, redis_server, rabbitmq, folder, kind):
    """As the system's table has them: development with redis, production with rabbitmq, and the results in Redis both times."""
    settings = {
        "CELERY_BROKER": kind, "CELERY_BROKER_REDIS_DATABASE": "1", "CELERY_BACKEND_REDIS_DATABASE": "2",
        "CELERY_BACKEND_REDIS_PREFIX": "fba:celery:", "CELERY_TASK_MAX_RETRIES": "5", "REDIS_HOST": HOST,
        "REDIS_PORT": str(redis_server.port), "REDIS_PASSWORD": redis_server.password,
    }  # fmt: skip
    if kind == "rabbitmq":
        settings |= {
            "CELERY_RABBITMQ_HOST": HOST, "CELERY_RABBITMQ_PORT": str(rabbitmq.server.port), "CELERY_RABBITMQ_USERNAME": "guest",
            "CELERY_RABBITMQ_PASSWORD": "guest", "CELERY_RABBITMQ_VHOST": rabbitmq.vhost,
        }  # fmt: skip
    workers(environment=settings).ready()
    app = make_app(rabbitmq.url if kind == "rabbitmq" else redis_server.url(1), redis_server.url(2))
    app.conf.result_backend_transport_options = {"global_keyprefix": "fba:celery:"}
    try:
        assert app.send_task("drill.add", (2, 3)).get(timeout=15) == 5
    finally:
        app.close()
    # The ledger has gone along, and no file was made.
    assert not (folder / "state").exists()


@pytest.mark.parametrize("scheme", ["rediss://", "sentinel://", "amqps://"])
def test_every_scheme_stands_in_the_help(scheme):
    assert scheme in Command({}).run("call", "--help").stdout


# MARK: where a wrong value stands


def test_a_wrong_value_is_named_with_its_layer(folder):
    (folder / "credentials").mkdir()
    for name, value in {"REDIS_PORT": "six", "CELERY_TASK_MAX_RETRIES": "few", "COPPICE_BROKER_URL": "sqs://"}.items():
        parts = {"CELERY_BROKER": "redis"} if name == "REDIS_PORT" else {}
        lines = "".join(f"{part}: {text}\n" for part, text in (parts | {name: value}).items())
        refused(parts | {name: value}, f"environment variable {name}: ")
        refused({}, f"{name} in {folder}/coppice.yaml: ", file=lines, folder=folder)
        for part, text in (parts | {name: value}).items():
            (folder / "credentials" / part).write_text(text)
        refused({"CREDENTIALS_DIRECTORY": f"{folder}/credentials"}, f"credential {name} in {folder}/credentials: ")
        for path in (folder / "credentials").iterdir():
            path.unlink()
    done = Command({}).run("worker", "-A", DRILL, "-b", "sqs://")
    assert done.returncode == 2 and done.stderr.startswith("coppice: --broker: ")


@pytest.mark.parametrize(
    "text, told",
    [
        ("URL: [hunter2\n", "not YAML: line 3: did not find expected ',' or ']', while parsing a flow sequence that begins in line 2"),
        ("a: hunter2: 1\n", "not YAML: line 2: mapping values are not allowed"),
        ("REDIS_PASSWORD: hunter2\nREDIS_PASSWORD: hunter2\n", "not YAML: line 3: a key that stands above already"),
        ("\nREDIS_PASSWORD: [hunter2]\n", "line 3: a value is not plain text"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line_and_without_its_text(folder, text, told):
    assert "hunter2" not in refused({}, f"settings file {folder}/coppice.yaml", told, file=text, folder=folder)
