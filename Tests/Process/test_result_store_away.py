"""A result store that is another server than the broker, and silent."""

import contextlib
import sqlite3

from support.command import Command
from support.waiting import until


def test_the_work_stops_after_a_few_windows_and_goes_on_when_the_store_is_back(workers, folder, own_redis):
    path = folder / "coppice.db"
    store = own_redis()
    command = Command({"COPPICE_BROKER_URL": f"sqlite:///{path}", "COPPICE_RESULT_BACKEND": store.url()})
    worker = workers(environment=command.environment, concurrency=1).ready()
    store.pause()
    sent = [command.call("drill.add", n, 1) for n in range(40)]
    # Four times the child and its window.
    until(lambda: len(worker.log.find("succeeded")) == 20, what=lambda: worker.log.text)
    worker.log.wait("Lost the result store")
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM waiting").fetchone() == (20,)
    store.resume()
    assert [command.result(task) for task in sent] == [n + 1 for n in range(40)]
