#!/usr/bin/env python3
"""A worker process that speaks the pipe protocol and knows nothing else of Coppice: stdlib only, one file.

It is what docs/PIPE_PROTOCOL.md promises ("a child can be written in any language"), and it does in tests what no task of
drill-worker should: spy on its parent, or break the protocol. A test copies this file and appends its tasks:

    TASKS["spy.environment"] = lambda args, kwargs: open(f"/proc/{os.getppid()}/environ").read()
    serve()
"""

import base64
import json
import os
import struct
import sys

DOWN, UP = 3, 4
TASKS = {}
OPTIONS = {}


def data(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(value)) + value


def send(kind, payload):
    frame = struct.pack(">IB", len(payload) + 1, kind) + payload
    while frame:
        frame = frame[os.write(UP, frame) :]


def read_exactly(count):
    found = b""
    while len(found) < count:
        more = os.read(DOWN, count - len(found))
        if not more:
            # The master is gone, or is done with us.
            os._exit(0)
        found += more
    return found


def receive():
    length, kind = struct.unpack(">IB", read_exactly(5))
    return kind, read_exactly(length - 1)


class Fields:
    def __init__(self, payload):
        self.payload, self.at = payload, 0

    def integer(self, layout):
        (value,) = struct.unpack_from(">" + layout, self.payload, self.at)
        self.at += struct.calcsize(layout)
        return value

    def data(self):
        count = self.integer("I")
        self.at += count
        return self.payload[self.at - count : self.at]

    def text(self):
        return self.data().decode()


def ready(version=1):
    declared = b"".join(data(name) + data(json.dumps(OPTIONS.get(name, {}))) for name in TASKS)
    send(1, struct.pack(">HHBI", version, 0, 0, len(TASKS)) + declared)


def started(assignment):
    send(2, struct.pack(">Q", assignment))


def state(assignment, name, meta):
    send(3, struct.pack(">Q", assignment) + data(name) + data(json.dumps(meta)))


def succeeded(assignment, value):
    send(7, struct.pack(">QB", assignment, 1) + data(json.dumps(value)))


def failed(assignment, error):
    text = data(type(error).__name__) + data("builtins") + data(json.dumps([str(error)])) + struct.pack(">B", 0)
    send(7, struct.pack(">QB", assignment, 2) + text)


def run(payload):
    fields = Fields(payload)
    assignment, flags, _priority, _retries = fields.integer("Q"), fields.integer("B"), fields.integer("B"), fields.integer("I")
    _id, name, _content_type, _compression, _queue = (fields.text() for _ in range(5))
    _headers, body = fields.data(), fields.data()
    started(assignment)
    try:
        args, kwargs, _embed = json.loads(base64.b64decode(body) if flags & 2 else body)
        value = TASKS[name](args, kwargs)
    except Exception as error:
        failed(assignment, error)
    else:
        succeeded(assignment, value)


def serve():
    kind, payload = receive()
    if kind != 1 or Fields(payload).integer("H") != 1:
        sys.exit(76)
    ready()
    while True:
        kind, payload = receive()
        if kind == 2:
            run(payload)
        elif kind == 5:
            sys.exit(0)
