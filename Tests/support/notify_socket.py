"""The service manager's end of sd_notify: a real datagram socket."""

import os
import socket
import threading
import time


class NotifySocket:
    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        # Anybody may write: tests also run the worker as another user.
        os.chmod(self.path, 0o777)
        self._told = threading.Condition()
        self._messages = []
        self._closed = False
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            if self._closed:
                return
            now = time.monotonic()
            with self._told:
                for line in data.decode().splitlines():
                    self._messages.append((now, line))
                self._told.notify_all()

    def messages(self, prefix=""):
        with self._told:
            return [line for _, line in self._messages if line.startswith(prefix)]

    def times(self, prefix):
        """When such lines came, by the monotonic clock."""
        with self._told:
            return [at for at, line in self._messages if line.startswith(prefix)]

    def wait(self, prefix, timeout=10.0, after=0):
        """The first line that begins with `prefix` beyond the first `after` of its kind; None when time is up."""
        deadline = time.monotonic() + timeout
        with self._told:
            while True:
                found = [line for _, line in self._messages if line.startswith(prefix)]
                if len(found) > after:
                    return found[after]
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._told.wait(left)

    def close(self):
        self._closed = True
        try:
            # shutdown() wakes the reader, close() alone would not.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
