"""A wire between clients and a server that can be cut, or fall silent, at a chosen moment."""

import contextlib
import socket
import struct
import threading


class Proxy:
    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._cut_at = None
        self._silent_at = None
        self._lock = threading.Lock()
        self._wires = set()
        self.cut = threading.Event()
        self.silent = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, marker):
        """The next answer that has these bytes in it is lost, and its connection with it."""
        self._cut_at = marker

    def silence_at(self, marker, connections="one", answers=False):
        """From the next request that has these bytes in it on (or the next answer), nothing of its connection is forwarded, itself not
        either: the sockets stay open. connections="all": nothing of any connection that is open then."""
        self._silent_at = (marker, answers, connections)

    def silence(self):
        """All that is open now stays open and carries nothing any more; what is opened later works."""
        with self._lock:
            for wire in self._wires:
                wire.silent = True
        self.silent.set()

    def reset(self):
        """Closes all connections, with an RST to the clients."""
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            wire.close(abruptly=True)

    @property
    def connections(self):
        with self._lock:
            return len(self._wires)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                self._connect(client)
            except OSError:
                # The server is away, or one of the two has left already.
                client.close()

    def _connect(self, client):
        server = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(client, server)
        with self._lock:
            self._wires.add(wire)
        for source, target, is_answer in ((client, server, False), (server, client, True)):
            threading.Thread(target=self._forward, args=(wire, source, target, is_answer), daemon=True).start()

    def _forward(self, wire, source, target, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if is_answer and self._cut_at and self._cut_at in data:
                    self._cut_at = None
                    self.cut.set()
                    break
                self._mark(wire, data, is_answer)
                if not wire.silent:
                    target.sendall(data)
        # A peer of a silent wire may leave; the other one does not hear of it.
        if not wire.silent or not is_answer:
            wire.close()
            with self._lock:
                self._wires.discard(wire)

    def _mark(self, wire, data, is_answer):
        if not self._silent_at:
            return
        marker, answers, connections = self._silent_at
        if answers == is_answer and marker in data:
            self._silent_at = None
            wire.silent = True
            if connections == "all":
                self.silence()
            self.silent.set()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()


class Wire:
    """A connection through the proxy: both its ends."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.silent = False

    def close(self, abruptly=False):
        if abruptly:
            with contextlib.suppress(OSError):
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in (self.client, self.server):
            # It wakes the thread that reads; a FIN would come before the RST.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD if abruptly else socket.SHUT_RDWR)
            end.close()
