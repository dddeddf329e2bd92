"""The brokers of `make chaos`, and those in which the worker is a user whose rights can be taken and given back."""

import json
import threading
import uuid

from celery import Celery
from kombu import Consumer, Queue

from chaos import brokers
from chaos.brokers import MEGABYTES  # noqa: F401
from chaos.producers import CelerySender
from chaos.verdict import final
from support.redis_rights import documented_rights

USER, PASSWORD = "coppice", "pw-of-coppice"


class RedisUser(brokers.Redis):
    """The worker has the rights that the documents name, and no other."""

    def start(self):
        super().start()
        self.acl("on", f">{PASSWORD}", *documented_rights())

    def acl(self, *words):
        with self._server.client() as client:
            client.execute_command("ACL", "SETUSER", USER, *words)

    def environment(self, wire):
        return {"COPPICE_BROKER_URL": f"redis://{USER}:{PASSWORD}@127.0.0.1:{wire.port}/0"}

    def client(self):
        return self._server.client()


class RabbitMQUser(brokers.RabbitMQ):
    def start(self):
        super().start()
        self.control("add_user", USER, PASSWORD)
        self.permit()

    def control(self, *words):
        return self._server.control(*words)

    def permit(self, configure=".*", write=".*", read=".*"):
        self.control("set_permissions", USER, configure, write, read)

    def declare(self, name, arguments):
        with Celery("queues", broker=self._server.url(), set_as_current=False).connection_for_write() as connection:
            Queue(name, durable=False, auto_delete=False, queue_arguments=arguments, channel=connection.default_channel).declare()

    def environment(self, wire):
        return {"COPPICE_BROKER_URL": f"amqp://{USER}:{PASSWORD}@127.0.0.1:{wire.port}//", "COPPICE_RESULT_BACKEND": self._results.url()}


class RabbitMQReplies(RabbitMQUser):
    """Results go over `rpc://`, to a queue of the producers'."""

    # RabbitMQ 4's is 16 MiB.
    LARGEST = 1 << 20

    def __init__(self, folder, disk):
        super().__init__(folder, disk)
        self._server.settings += f"max_message_size = {self.LARGEST}\n"
        self._replies = f"replies-{uuid.uuid4()}"
        self._records = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def start(self):
        super().start()
        self._thread.start()

    def environment(self, wire):
        return {"COPPICE_BROKER_URL": f"amqp://{USER}:{PASSWORD}@127.0.0.1:{wire.port}//"}

    def sender(self):
        return RepliedSender(super().sender(), self._replies)

    def results(self, ids):
        return {id: self._records[id] for id in ids if id in self._records}

    def remaining(self):
        queues = self._server.queues()
        return {"waiting or parked": sum(ready for name, (ready, _) in queues.items() if not name.startswith("replies-")),
                "held": sum(held for _, held in queues.values())}  # fmt: skip

    def _collect(self):
        with Celery("replies", broker=self._server.url(), set_as_current=False).connection_for_read() as connection:
            queue = Queue(self._replies, durable=False, auto_delete=False, channel=connection.default_channel)
            with Consumer(connection, [queue], callbacks=[self._record], accept=["json"], no_ack=True):
                while not self._over.is_set():
                    try:
                        connection.drain_events(timeout=0.2)
                    except TimeoutError:
                        pass

    def _record(self, body, message):
        record = body if isinstance(body, dict) else json.loads(body)
        if not final(self._records.get(record["task_id"])):
            self._records[record["task_id"]] = record

    def stop(self):
        self._over.set()
        self._thread.join(5)
        super().stop()


class RepliedSender:
    """A sender whose tasks' results go to one queue, unless a send names another."""

    def __init__(self, sender: CelerySender, replies):
        self._sender, self._replies = sender, replies

    def send(self, task, id, *arguments, **options):
        return self._sender.send(task, id, *arguments, **({"reply_to": self._replies} | options))

    def close(self):
        self._sender.close()


ALL = brokers.ALL | {"redis user": RedisUser, "rabbitmq user": RabbitMQUser, "rabbitmq replies": RabbitMQReplies}
