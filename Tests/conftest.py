import os
import shutil
import tempfile
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.ledger import read as read_ledger
from support import COPPICE, DRILL, EXAMPLE
from support.celery_app import make_app
from support.command import Command
from support.envelope import Results
from support.rabbitmq_server import RabbitMQServer
from support.redis_server import RedisServer
from support.smtp import MailServer
from support.worker import Worker


# They have a conftest of their own and want a package: `make test-systemd`.
collect_ignore = ["systemd"]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the long forms too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="the long form: --slow runs it"))


def pytest_sessionstart(session):
    for binary in (COPPICE, EXAMPLE, DRILL):
        if not binary.exists():
            pytest.exit(f"{binary} is missing: make build", returncode=2)


@pytest.fixture(scope="session")
def redis_for_all(tmp_path_factory):
    """One server for the run; each test that uses it finds it empty. What changes a server's settings starts its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), password="s3cret-of-redis").start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(redis_for_all):
    with redis_for_all.client() as client:
        client.flushall()
        client.config_resetstat()
    return redis_for_all


@pytest.fixture
def redis(redis_server):
    with redis_server.client() as client:
        yield client


@pytest.fixture
def results(redis):
    """Hears every result that is published from before the test's first line on."""
    heard = Results(redis)
    yield heard
    heard.close()


@pytest.fixture
def own_redis(tmp_path):
    """Starts a server with options of the test's own: own_redis("--maxmemory", "100mb")."""
    servers = []

    def start(*options, password=None, **more):
        server = RedisServer(tmp_path / f"redis-{len(servers)}", password=password, options=options, **more)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def rabbitmq_for_all(tmp_path_factory):
    """One server for the run, since it takes seconds to start; each test that uses it has a vhost of its own."""
    server = RabbitMQServer(tmp_path_factory.mktemp("rabbitmq")).start()
    yield server
    server.stop()


@pytest.fixture
def rabbitmq(rabbitmq_for_all, redis_server):
    """A new vhost, and a Redis for the results: .url, .environment, .queues()"""
    vhost = f"t{uuid.uuid4().hex[:8]}"
    rabbitmq_for_all.add_vhost(vhost)
    url = rabbitmq_for_all.url(vhost)
    yield SimpleNamespace(
        server=rabbitmq_for_all, vhost=vhost, url=url, queues=lambda: rabbitmq_for_all.queues(vhost),
        environment={"COPPICE_BROKER_URL": url, "COPPICE_RESULT_BACKEND": redis_server.url()})  # fmt: skip
    rabbitmq_for_all.delete_vhost(vhost)


@pytest.fixture
def own_rabbitmq(tmp_path):
    """Starts a server that the test may kill: own_rabbitmq("rabbitmq.conf's lines")."""
    servers = []

    def start(settings=""):
        server = RabbitMQServer(tmp_path / f"rabbitmq-{len(servers)}", settings=settings)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def folder():
    """A folder with a short path (a Unix socket's is bounded) that other users may enter."""
    path = Path(tempfile.mkdtemp(prefix="coppice-"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def workers(folder):
    """Makes workers that do not outlive the test: workers("--flag", app=…, environment=…).start() or .ready()."""
    made = []

    def make(*flags, **options):
        worker = Worker(folder, *flags, **options)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def redis_worker(workers, redis_server):
    """A worker on the test's Redis, not started: redis_worker("--soft-time-limit", 1).ready()"""

    def make(*flags, environment=None, **options):
        return workers(*flags, environment={"COPPICE_BROKER_URL": redis_server.url()} | (environment or {}), **options)

    return make


@pytest.fixture
def app(redis_server):
    made = make_app(redis_server.url())
    yield made
    made.close()


@pytest.fixture
def worker(redis_worker):
    """drill-worker with two children on Redis, ready."""
    return redis_worker().ready()


@pytest.fixture(params=["redis", "sqlite", "rabbitmq"])
def broker(request, folder):
    """Each broker, as the environment that selects it, for tests whose client is our own command."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url()
        environment = {"COPPICE_BROKER_URL": url}
    elif request.param == "rabbitmq":
        vhost = request.getfixturevalue("rabbitmq")
        url, environment = vhost.url, vhost.environment
    else:
        url = f"sqlite:///{folder}/coppice.db"
        environment = {"COPPICE_BROKER_URL": url}
    return SimpleNamespace(kind=request.param, url=url, environment=environment, command=Command(environment))


@pytest.fixture
def any_worker(workers, broker):
    """A worker on `broker`, not started."""

    def make(*flags, environment=None, **options):
        return workers(*flags, environment=broker.environment | (environment or {}), **options)

    return make


@pytest.fixture
def ledger(folder):
    """The folder of the witness tasks' ledger, and how a worker is told of it: ledger.options, ledger.runs("id")"""
    path = folder / "ledger"
    path.mkdir()

    def runs(id=None):
        return [run for run in read_ledger(path) if id in (None, run.id)]

    return SimpleNamespace(path=path, flags=("--child-env", "DRILL_LEDGER"), environment={"DRILL_LEDGER": str(path)}, runs=runs)


@pytest.fixture
def command(redis_server):
    return Command({"COPPICE_BROKER_URL": redis_server.url()})


@pytest.fixture
def mail():
    server = MailServer().start()
    yield server
    server.stop()


@pytest.fixture
def python_worker(folder):
    """A worker executable in Python with tasks of the test's own: python_worker('TASKS["x"] = lambda args, kwargs: 1')."""
    source = Path(__file__).parent / "support" / "pipe_child.py"

    def make(tasks, serve="serve()"):
        path = folder / f"worker-{len(list(folder.glob('worker-*')))}"
        path.write_text(source.read_text() + "\nimport time\n" + tasks + "\n" + serve + "\n")
        os.chmod(path, 0o755)
        return path

    return make
