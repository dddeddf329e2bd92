"""A Redis user that lacks one right of the documented list: it is named, and nothing is lost."""

import re

import pytest

from support.envelope import envelope, record, send
from support.redis_rights import documented_rights
from support.waiting import until

# What a worker does without, as the document says; and what another pattern of the list covers.
OPTIONAL = {"info", "role", "select", "client|setname", "client|tracking", "client|caching", "psubscribe", "auth", "srem",
            "~_kombu.binding*", "~*.reply.celery.pidbox", "~celery-task-meta-*"}  # fmt: skip
# Each stands for others: the whole list is the long form.
SHORT = {"zadd", "hset", "ltrim", "lrange", "rpush", "subscribe", "client|id", "script|load", "evalsha", "ping", "~celery*", "~unacked_index"}


def cases():
    for right in documented_rights():
        name = right.removeprefix("+")
        if right == "resetchannels" or name in OPTIONAL:
            continue
        yield pytest.param(right, id=name, marks=[] if name in SHORT else [pytest.mark.slow])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from support.redis_server import RedisServer

    server = RedisServer(tmp_path_factory.mktemp("redis-rights")).start()
    yield server
    server.stop()


@pytest.mark.parametrize("right", list(cases()))
def test_a_missing_right_is_named_and_loses_nothing(server, workers, right):
    count = 10
    ids = [f"right-{number}" for number in range(count)]
    with server.client() as client:
        client.flushall()
        for id in ids:
            send(client, envelope("drill.add", (1, 2), id=id))
        client.execute_command("ACL", "SETUSER", "coppice", "reset", "on", ">pw", *(each for each in documented_rights() if each != right))
        worker = workers("-l", "warning", environment={"COPPICE_BROKER_URL": f"redis://coppice:pw@127.0.0.1:{server.port}/0"}).start()
        name = right.removeprefix("+")
        said = worker.log.wait(r"permission.*")
        # A pattern of keys is told by one of them.
        told = re.escape(name.rstrip("*")) if name[0] in "~&" else re.escape(name)
        if name[0] == "&":
            told = "channel"
        assert re.search(told, said.group(0)), said.group(0)
        assert client.llen("celery") == count
        assert not worker.notify.wait("READY=1", timeout=0)
        client.execute_command("ACL", "SETUSER", "coppice", right)
        worker.ready()
        until(lambda: all((record(client, id) or {}).get("status") == "SUCCESS" for id in ids), what=lambda: "all results\n" + worker.log.text)
        until(lambda: client.hlen("unacked") == 0 and client.hlen("coppice.started") == 0, what="all settlements")
        assert client.zcard("unacked_index") == client.llen("celery") == client.llen("coppice.dead") == 0
        assert worker.stop(timeout=5) == 0
