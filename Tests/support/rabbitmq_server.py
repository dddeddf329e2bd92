"""A RabbitMQ of one's own: a node, ports, an epmd, data, logs and a cookie that nobody else has, on the loopback interface.

The environment variables are RabbitMQ's (rabbitmq-env) and Erlang's; Tests/TransportTests/Harness starts its server with the same.
"""

import socket
import subprocess
import uuid
from pathlib import Path

from .server import Server, free_port
from .waiting import until

# The package's wrappers in /usr/sbin change user and folder.
BIN = Path("/usr/lib/rabbitmq/bin")


class RabbitMQServer(Server):
    """When it is killed, its port programs end with their pipes."""

    patience = 15

    def __init__(self, folder, settings=""):
        """`settings`: lines of rabbitmq.conf."""
        self.folder = Path(folder)
        self.settings = settings
        self.port, self.dist_port, self.epmd_port = free_port(), free_port(), free_port()
        self.node = f"t{uuid.uuid4().hex[:8]}@localhost"
        self._epmd = None

    @property
    def environment(self):
        at = self.folder
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            # The cookie is made in HOME at the first start.
            "HOME": str(at),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(at / "data"),
            "RABBITMQ_LOG_BASE": str(at / "log"),
            "RABBITMQ_CONFIG_FILE": str(at / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(at / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
            # The script then becomes the server instead of waiting for it: its process id is the server's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def start(self, timeout=40):
        for folder in (self.folder, self.folder / "data", self.folder / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text("log.file.level = warning\n" + self.settings)
        (self.folder / "plugins").write_text("[].\n")
        if self._epmd is None:
            self._epmd = subprocess.Popen(["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            until(lambda: self._open(self.epmd_port), what="epmd to answer")
        with open(self.folder / "log" / "output", "ab") as output:
            self.process = subprocess.Popen([str(BIN / "rabbitmq-server")], env=self.environment, cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)  # fmt: skip
        until(self._answers, timeout=timeout, what=lambda: "RabbitMQ to answer\n" + self.log, every=0.05)
        return self

    @property
    def log(self):
        texts = [path.read_text(errors="replace") for path in sorted((self.folder / "log").glob("*")) if path.is_file()]
        return "\n".join(texts)[-4000:]

    @staticmethod
    def _open(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def _answers(self):
        if not self.running:
            raise AssertionError("RabbitMQ did not start:\n" + self.log)
        # The port opens when the node is up; connection.start is its word for it.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return probe.recv(1) == b"\x01"
        except OSError:
            return False

    def url(self, vhost=""):
        """The default vhost is "/", which an empty last part means."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost or '/'}"

    def control(self, *words, timeout=60):
        """rabbitmqctl; what it printed."""
        done = subprocess.run([str(BIN / "rabbitmqctl"), "-n", self.node, "-q", *map(str, words)], env=self.environment,
                              cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)  # fmt: skip
        assert done.returncode == 0, f"rabbitmqctl {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def add_vhost(self, name):
        """With every right for guest, in one call: each costs a second."""
        self.control("eval", f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
                             f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).')  # fmt: skip

    def delete_vhost(self, name):
        self.control("delete_vhost", name)

    def queues(self, vhost="/"):
        """name: (ready, unacknowledged)"""
        rows = self.control("list_queues", "-p", vhost, "--no-table-headers", "name", "messages_ready", "messages_unacknowledged"
                            ).splitlines()  # fmt: skip
        return {name: (int(ready), int(held)) for name, ready, held in (row.split("\t") for row in rows if row.count("\t") == 2)}

    def stop(self):
        super().stop()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
