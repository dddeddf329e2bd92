"""Messages as kombu's Redis transport lays them down, made by hand so that each part can be made wrong."""

import base64
import json
import uuid

META = "celery-task-meta-"


def encode(body):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return base64.b64encode(body).decode()


def envelope(task, args=(), kwargs=None, *, id=None, body=None, queue="celery", priority=0, headers=None, **fields):
    """A protocol 2 message as a dictionary; `headers` and `fields` go over what is usual, and None removes a field."""
    id = id or str(uuid.uuid4())
    made = {
        "body": encode([list(args), kwargs or {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]) if body is None else body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": task, "id": id, "shadow": None, "eta": None, "expires": None, "group": None, "group_index": None,
            "retries": 0, "timelimit": [None, None], "root_id": id, "parent_id": None, "argsrepr": repr(tuple(args)),
            "kwargsrepr": repr(kwargs or {}), "origin": "test@local", "ignore_result": False, "replaced_task_nesting": 0,
            "stamped_headers": None, "stamps": {},
        } | (headers or {}),
        "properties": {
            "correlation_id": id, "reply_to": str(uuid.uuid4()), "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue}, "priority": priority, "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }  # fmt: skip
    made.update(fields)
    return {key: value for key, value in made.items() if value is not None}


def list_key(queue="celery", priority=0):
    """The list of a priority: 0, 3, 6, 9 are kombu's steps, and 0 has no suffix."""
    step = max(step for step in (0, 3, 6, 9) if step <= priority)
    return f"{queue}\x06\x16{step}" if step else queue


def send(redis, message, queue="celery", priority=0):
    redis.lpush(list_key(queue, priority), message if isinstance(message, (bytes, str)) else json.dumps(message))


def record(redis, id):
    """The stored result, or None."""
    text = redis.get(META + id)
    return json.loads(text) if text else None


class Results:
    """Hears the result channels of all tasks from now on."""

    def __init__(self, redis):
        self._redis = redis
        self._heard = redis.pubsub(ignore_subscribe_messages=False)
        self._heard.psubscribe(META + "*")
        # The confirmation is here before anything can be published.
        assert self._heard.get_message(timeout=5)["type"] == "psubscribe"
        self.records = {}

    def wait(self, id, *statuses, timeout=15.0):
        """The first record of the task with one of these states (default: a final one), in the order they were published."""
        import time

        wanted = statuses or ("SUCCESS", "FAILURE", "REVOKED")
        deadline = time.monotonic() + timeout
        while True:
            for found in self.records.get(id, []):
                if found["status"] in wanted:
                    return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {wanted} of {id}; heard {self.records.get(id)}")
            message = self._heard.get_message(timeout=left)
            if message and message["type"] == "pmessage":
                heard = json.loads(message["data"])
                self.records.setdefault(heard["task_id"], []).append(heard)

    def statuses(self, id):
        return [heard["status"] for heard in self.records.get(id, [])]

    def close(self):
        self._heard.close()
