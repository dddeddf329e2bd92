"""The Python side of a mixed fleet: drill-worker's witness tasks under the same names, which write the same ledger.

It is harder on the broker than the Swift side: it sends some messages back to their queue.
"""

import os
import random
import time

from celery import Celery
from celery.exceptions import Reject

app = Celery("fleet", broker=os.environ["FLEET_BROKER"], backend=os.environ["FLEET_RESULTS"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_serializer="json",
    task_track_started=True,
    broker_transport_options=eval(os.environ.get("FLEET_OPTIONS", "{}")),
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
REJECTED = float(os.environ.get("FLEET_REJECTED", "0"))


def write(task, what):
    file = os.open(f"{os.environ['DRILL_LEDGER']}/{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    line = f"{task.request.id} {task.request.retries} {what} {os.getpid()} {os.getppid()} {time.monotonic_ns()}\n"
    os.write(file, line.encode())
    os.close(file)


def witness(task, seconds, times):
    write(task, "start")
    time.sleep(seconds)
    write(task, "end")
    if task.request.retries < times:
        raise task.retry(countdown=1)
    return task.request.retries


@app.task(bind=True, name="drill.witness.late", acks_late=True, max_retries=None)
def late(self, seconds, times):
    if random.random() < REJECTED:
        raise Reject("not now", requeue=True)
    return witness(self, seconds, times)


@app.task(bind=True, name="drill.witness.early", max_retries=None)
def early(self, seconds, times):
    return witness(self, seconds, times)
