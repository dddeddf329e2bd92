#!/usr/bin/env python3
"""Records golden messages from a real Celery: what its client sends, what its worker stores, and how control talks.

`make golden` runs it; names of files as arguments record these alone. It starts a Redis and a Celery worker of its own, sends each kind of call, and writes down the bytes that lie
in Redis, so that no golden message is ever typed by hand. Every file is JSON: {"name", "celery", "kombu", "messages": [...]}.
Bytes that change from run to run (ids, times, process numbers) stay as they were: a test that compares takes them from the record.
Only where this machine keeps its files, and its name, are taken out.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import celery
import kombu
from celery.canvas import StampingVisitor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.celery_app import make_app  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.waiting import until  # noqa: E402

WORKER = """
import os, sys, time
from celery import Celery
app = Celery("golden", broker=sys.argv[1], backend=sys.argv[1])
app.conf.update(task_track_started=True, timezone="Asia/Shanghai", enable_utc=True, worker_hijack_root_logger=False)
app.conf.result_extended = "extended" in sys.argv
sys.argv = sys.argv[:2]

@app.task(name="golden.add")
def add(x, y):
    return x + y

@app.task(name="golden.fail")
def fail(message):
    raise ValueError(message, 42)

@app.task(name="golden.retry", bind=True)
def retry(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0.1, exc=KeyError("nope"))
    return self.request.retries

@app.task(name="golden.progress", bind=True)
def progress(self):
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
    return "done"

@app.task(name="golden.die")
def die():
    os.kill(os.getpid(), 9)

@app.task(name="golden.slow", soft_time_limit=0.3)
def slow():
    time.sleep(20)

app.worker_main(["worker", "-c", "1", "-n", "golden@local", "-l", "ERROR", "--without-gossip", "--without-mingle"])
"""


def write(name, messages):
    path = HERE / f"{name}.json"
    text = json.dumps({"name": name, "celery": celery.__version__, "kombu": kombu.__version__, "messages": messages}, indent=1, ensure_ascii=True)
    text = re.sub(r'(File \\+")[^"\\]*/([^/"\\]+)', r"\1/\2", text).replace("@" + socket.gethostname(), "@host")
    path.write_text(text + "\n")
    print(f"{path.relative_to(HERE.parent.parent)}: {len(messages)}")


def sent_messages(app, redis):
    """What a client lays into the queue, by kind of call."""
    soon = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    calls = {
        "plain": ("golden.add", (2, 3), {}, {}),
        "keywords": ("golden.add", (), {"x": 2, "y": 3}, {}),
        "countdown": ("golden.add", (2, 3), {}, {"countdown": 10.5}),
        "eta": ("golden.add", (2, 3), {}, {"eta": soon}),
        "eta without a zone": ("golden.add", (2, 3), {}, {"eta": soon.replace(tzinfo=None)}),
        "eta of Shanghai": ("golden.add", (2, 3), {}, {"eta": soon.astimezone(timezone(timedelta(hours=8)))}),
        "expires": ("golden.add", (2, 3), {}, {"expires": 60}),
        "priority": ("golden.add", (2, 3), {}, {"priority": 5}),
        "limits": ("golden.add", (2, 3), {}, {"time_limit": 30, "soft_time_limit": 20.5}),
        "ignored result": ("golden.add", (2, 3), {}, {"ignore_result": True}),
        "compressed": ("golden.add", ("x" * 200, "y"), {}, {"compression": "gzip"}),
        "custom header": ("golden.add", (2, 3), {}, {"headers": {"x-my": "v"}}),
        "shadow": ("golden.add", (2, 3), {}, {"shadow": "shadowed", "task_id": "my-id", "retries": 1}),
        "unicode": ("golden.add", ("Grüße \U0001f332", "it's \"so\" \\"), {}, {}),
        "odd numbers": ("golden.add", (2**70, 1.0), {"z": float("nan"), "inf": float("-inf")}, {}),
        "typed values": ("golden.add", (soon, b"bytes"), {"when": soon.date()}, {}),
        "nested": ("golden.add", ([[1, [2, {"a": [None, True]}]]], {"k": {}}), {}, {}),
        "callbacks": ("golden.add", (2, 3), {}, {"link": app.signature("golden.add", (1,)), "link_error": app.signature("golden.fail", ("e",))}),
    }  # fmt: skip
    messages = []
    for name, (task, args, kwargs, options) in calls.items():
        app.send_task(task, args, kwargs, **options)
        [key] = [key for key in redis.keys("celery*") if redis.type(key) == b"list"]
        messages.append({"case": name, "list": key.decode(), "raw": redis.rpop(key).decode()})
    return messages


def stored_records(app, redis):
    """Every record that the worker publishes for a task, in order."""
    calls = {
        "success": ("golden.add", (2, 3), {}),
        "failure": ("golden.fail", ("bad",), {}),
        "retry": ("golden.retry", (), {}),
        "progress": ("golden.progress", (), {}),
        "wrong arguments": ("golden.add", (1, 2, 3), {}),
        "unknown task": ("golden.none", (), {}),
        "expired": ("golden.add", (2, 3), {"expires": datetime.now(timezone.utc) - timedelta(seconds=5)}),
        "killed child": ("golden.die", (), {}),
        "soft limit": ("golden.slow", (), {}),
    }
    return published(app, redis, calls)


class Stamps(StampingVisitor):
    def on_signature(self, signature, **headers):
        return {"tenant": "acme", "trace": ["a", "b"], "stamped_headers": ["tenant", "trace"]}


def extended_records(app, redis):
    """The same with `result_extended`."""
    calls = {
        "success": ("golden.add", (2,), {"kwargs": {"y": 3}}),
        "typed values": ("golden.add", ("x" * 200, "Grüße"), {}),
        "failure": ("golden.fail", ("bad",), {}),
        "retry": ("golden.retry", (), {}),
        "progress": ("golden.progress", (), {}),
        "wrong arguments": ("golden.add", (1, 2, 3), {}),
        "unknown task": ("golden.none", (), {}),
        "expired": ("golden.add", (2, 3), {"expires": datetime.now(timezone.utc) - timedelta(seconds=5)}),
        "killed child": ("golden.die", (), {}),
        "shadow": ("golden.add", (2, 3), {"shadow": "shadowed"}),
        "stamped": ("golden.add", (2, 3), {"stamped": True}),
    }
    return published(app, redis, calls)


def published(app, redis, calls):
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.psubscribe("celery-task-meta-*")
    messages = []
    for name, (task, args, options) in calls.items():
        if options.pop("stamped", False):
            signature = app.signature(task, args)
            signature.stamp(Stamps())
            sent = signature.apply_async()
        else:
            sent = app.send_task(task, args, **options)
        records = []
        while not records or json.loads(records[-1])["status"] not in ("SUCCESS", "FAILURE", "REVOKED"):
            message = heard.get_message(timeout=30)
            if message and message["channel"].decode().endswith(sent.id):
                records.append(message["data"].decode())
        stored = redis.get("celery-task-meta-" + sent.id).decode()
        assert stored == records[-1]
        messages.append({"case": name, "records": records, "ttl": redis.ttl("celery-task-meta-" + sent.id)})
    heard.close()
    return messages


def control_messages(app, redis):
    """Requests as the client broadcasts them, and the worker's replies, which MONITOR sees on their way into a list."""
    messages = []
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("/0.celery.pidbox")
    calls = {
        "ping": lambda: app.control.ping(destination=["golden@local"], timeout=5),
        "revoke": lambda: app.control.revoke("some-id", reply=True, destination=["golden@local"], timeout=5),
        "revoke and terminate": lambda: app.control.revoke("some-id", terminate=True, signal="SIGKILL", reply=True, timeout=1),
        "unknown command": lambda: app.control.broadcast("no_such_command", reply=True, destination=["golden@local"], timeout=5),
    }
    for name, call in calls.items():
        with redis.monitor() as monitor:
            reply = call()
            request = until(lambda: heard.get_message(timeout=1), what="the request")["data"].decode()
            answered = next(seen for seen in monitor.listen() if seen["command"].startswith("LPUSH") and "reply.celery.pidbox" in seen["command"])
        # MONITOR quotes as redis-cli does; the words themselves are plain JSON.
        raw = answered["command"].split(" ", 2)[2]
        messages.append({"case": name, "request": request, "reply_raw": raw, "reply": reply})
    heard.close()
    return messages


@contextlib.contextmanager
def real_worker(app, server, folder, *flags):
    script = Path(folder) / "worker.py"
    script.write_text(WORKER)
    worker = subprocess.Popen([sys.executable, script, server.url(), *flags], env={"PATH": "/usr/bin:/bin", "C_FORCE_ROOT": "1"},
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        until(lambda: app.control.ping(timeout=0.5), timeout=30, what="the worker")
        yield
    finally:
        worker.terminate()
        worker.wait()


def main():
    wanted = set(sys.argv[1:]) or {"sent", "stored", "control", "extended"}
    with tempfile.TemporaryDirectory(prefix="coppice-golden-") as folder:
        server = RedisServer(Path(folder) / "redis").start()
        try:
            app = make_app(server.url())
            with server.client() as redis:
                if "sent" in wanted:
                    write("sent", sent_messages(app, redis))
                if wanted & {"stored", "control"}:
                    with real_worker(app, server, folder):
                        if "stored" in wanted:
                            write("stored", stored_records(app, redis))
                        if "control" in wanted:
                            write("control", control_messages(app, redis))
                if "extended" in wanted:
                    with real_worker(app, server, folder, "extended"):
                        write("extended", extended_records(app, redis))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
