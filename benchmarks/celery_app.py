"""What Celery's prefork pool runs on its side of the benchmark."""

import os

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_RESULTS"])
app.conf.update(task_serializer="json", accept_content=["json"], result_serializer="json", task_track_started=True)


@app.task(name="example.add")
def add(x, y):
    return x + y
