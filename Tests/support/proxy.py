"""A wire between a client and a server that can be cut at a chosen moment."""

import contextlib
import socket
import threading


class Proxy:
    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._marker = None
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, marker):
        """The next answer that has these bytes in it is lost, and its connection with it."""
        self._marker = marker

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source, target, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if is_answer and self._marker and self._marker in data:
                    self._marker = None
                    self.cut.set()
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
