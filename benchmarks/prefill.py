"""Real messages in number: one that Celery made, with ids and delivery tags of their own."""

import json
import uuid

from support.celery_app import make_app

ID = "celery-task-meta-"


class Messages:
    def __init__(self, url, redis):
        """Has a real client send one message, and takes it from the queue as the pattern."""
        app = make_app(url)
        sent = app.send_task("example.add", (2, 3))
        app.close()
        text = redis.rpop("celery").decode()
        self._pattern, self._id, self._tag = text, sent.id, json.loads(text)["properties"]["delivery_tag"]

    def one(self):
        """(id, message)"""
        id = str(uuid.uuid4())
        return id, self._pattern.replace(self._id, id).replace(self._tag, str(uuid.uuid4()))

    def fill(self, redis, count, key="bench.prefilled"):
        """Lays `count` messages into a list of another name: a RENAME makes them appear at once. Their ids, first to last."""
        ids = []
        for start in range(0, count, 1000):
            with redis.pipeline(transaction=False) as pipe:
                for _ in range(min(1000, count - start)):
                    id, message = self.one()
                    ids.append(id)
                    pipe.lpush(key, message)
                pipe.execute()
        return ids
