"""What a broker may refuse: a right, a key, a queue, a size, or everything for want of room."""

import contextlib
import time
import uuid

from support.redis_rights import documented_rights
from support.waiting import until

from .fault import Fault

# How a task may end that is refused something.
FAILED, DONE, RETRIED = ("FAILURE",), ("SUCCESS",), ("SUCCESS", "FAILURE")
# A queue of the culprit's own.
NARROW = "narrow"
# Seconds for which everything is refused, and those in which the master says so if it wants what is refused.
REFUSED_FOR = 2.0


# Redis: rights and keys, one by one.


def without(taken, given):
    """A right that is taken away while tasks run, and given back."""

    def harm(scene):
        scene.begins()
        scene.broker.acl(*taken)
        with contextlib.suppress(AssertionError):
            scene.worker.log.wait("lacks a permission", timeout=REFUSED_FOR)
        scene.broker.acl(*given)
        scene.ends()

    return harm


def redis_rights():
    """One row for each command and each pattern of keys and channels in docs/OPERATIONS.md."""
    words = documented_rights()
    rows = []
    for kind, reset, what in (("+", None, "the command"), ("~", "resetkeys", "the keys"), ("&", "resetchannels", "the channels")):
        of_kind = [word for word in words if word.startswith(kind)]
        for word in of_kind:
            taken = ("-" + word[1:],) if reset is None else (reset, *(other for other in of_kind if other != word))
            rows.append(Fault("broker", f"{what} `{word[1:]}`", "nothing that needs it is taken or lost; all goes on when it is there again",
                              without(taken, (word,)), replaced=0, seconds=5, on=("redis user",), quick=word in ("+zadd", "+hset")))  # fmt: skip
    return rows


# Redis: everything.


def setting(name, value):
    def harm(scene):
        with scene.broker.client() as client:
            before = client.config_get(name)[name]
            scene.begins()
            client.config_set(name, value)
            time.sleep(REFUSED_FOR)
            client.config_set(name, before)
            scene.ends()

    return harm


# RabbitMQ.


@contextlib.contextmanager
def narrowed(scene):
    """The culprit's queue takes no message."""
    scene.broker.control("set_policy", NARROW, f"^{NARROW}$", '{"max-length":0,"overflow":"reject-publish"}', "--apply-to", "queues")
    yield
    scene.broker.control("clear_policy", NARROW)


@contextlib.contextmanager
def no_default_exchange(scene):
    scene.broker.permit(write=r"^(?!amq\.default$).*")
    scene.broker.cut()
    yield
    scene.broker.permit()


def retries(refused, **options):
    """A late task asks for a retry, whose message is refused."""

    def harm(scene):
        id = scene.send_culprit("drill.witness.late", 4.0, 1, ends=FAILED, **options)
        until(lambda: any(run.id == id for run in scene.runs()), timeout=20, what="the culprit's start")
        with refused(scene):
            # A full queue is tried for half a minute.
            scene.await_verdict(id, timeout=60)

    return harm


def alarm(on, off):
    """RabbitMQ takes no publication for a while. A retry waits for that; what publishes nothing goes on."""

    def harm(scene):
        id = scene.send_culprit("drill.witness.late", 2.5, 1, ends=DONE)
        on(scene)
        time.sleep(REFUSED_FOR)
        off(scene)
        scene.ends()
        scene.await_verdict(id)

    return harm


def watermark(value):
    return lambda scene: scene.broker.control("set_vm_memory_high_watermark", value)


def parked(scene):
    """A task for later: the delay queues are not there, and may not be made."""
    scene.broker.permit(configure="^$")
    scene.broker.cut()
    scene.recover(0)
    scene.await_verdict(scene.send_culprit("drill.add", 1, 2, ends=DONE, countdown=5))
    scene.broker.permit()


def too_large(scene):
    scene.await_verdict(scene.send_culprit("drill.big", 3 * scene.broker.LARGEST, ends=FAILED))


def replies_to(declared):
    """A result whose reader's queue takes nothing, or is not there. Its verdict reaches nobody, and is in the log."""

    def harm(scene):
        name = f"reader-{uuid.uuid4()}"
        if declared is not None:
            scene.broker.declare(name, declared)
        id = scene.send_culprit("drill.add", 1, 2, ends=DONE, reply_to=name)
        del scene.culprits[id]
        scene.worker.log.wait(rf"{name}|{id}.*(reply|result)", timeout=30)

    return harm


WAITS = "waits with its message until the broker takes it"
BOTH = ("rabbitmq user", "rabbitmq replies")

REFUSALS = [
    *redis_rights(),
    Fault("broker", "every write, for want of a replica (`min-replicas-to-write`)", "what has ended is kept, and settled when it may be",
          setting("min-replicas-to-write", "1"), replaced=0, seconds=5, on=("redis user",)),
    Fault("broker", "every write, for want of memory (`maxmemory`)", "what is there is worked off", setting("maxmemory", "1"),
          replaced=0, seconds=5, on=("redis user",)),
    Fault("broker", "the right to write to the default exchange, to which a retry goes", "that task fails, and says why",
          retries(no_default_exchange), replaced=0, again=4, seconds=5, on=("rabbitmq user",), quick=True),
    Fault("broker", "a retry, since its queue is full (`reject-publish`)", "that task fails, and says why", retries(narrowed, queue=NARROW),
          replaced=0, seconds=1, flags=("-Q", f"celery,{NARROW}"), on=("rabbitmq user",)),
    Fault("broker", "the right to make delay queues, of which a task for later has need", "it is held until its time", parked,
          replaced=0, again=4, seconds=5, on=("rabbitmq user",)),
    Fault("broker", "every publication, for want of memory", WAITS, alarm(watermark(0), watermark(0.4)), replaced=0, seconds=5, on=BOTH),
    Fault("broker", "every publication, for want of disk", WAITS, alarm(lambda scene: scene.broker.fill(), lambda scene: scene.disk.clear()),
          replaced=0, seconds=15, on=BOTH),
    Fault("broker", "a result above `max_message_size`", "that task fails, and says why", too_large, replaced=0, seconds=1,
          on=("rabbitmq replies",), quick=True),
    Fault("broker", "a result, since the reader's queue is full (`reject-publish`)", "it is dropped, and the log says so",
          replies_to({"x-max-length": 0, "x-overflow": "reject-publish"}), replaced=0, seconds=1, on=("rabbitmq replies",)),
    Fault("broker", "a result, since the reader's queue is not there", "it is dropped, and the log says so", replies_to(None),
          replaced=0, seconds=1, on=("rabbitmq replies",)),
]  # fmt: skip
