"""What Huey's consumer runs on its side of the benchmark."""

import os

from huey import SqliteHuey

huey = SqliteHuey("bench", filename=os.environ["BENCH_FILE"], results=True)


@huey.task()
def add(x, y):
    return x + y
