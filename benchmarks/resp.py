"""A raw Redis connection: no client library stands in a figure."""

import socket


def command(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Connection:
    def __init__(self, port, database=0):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        if database:
            self.call("SELECT", str(database))

    def call(self, *words):
        self.socket.sendall(command(*words))
        return self.reply()

    def reply(self):
        """One reply. Errors are returned as exceptions are: raised."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in b"+:":
            return rest
        if kind == b"-":
            raise RuntimeError(rest.decode())
        count = int(rest)
        if count < 0:
            return None
        if kind == b"$":
            while len(self._buffer) < count + 2:
                self._receive()
            value, self._buffer = self._buffer[:count], self._buffer[count + 2 :]
            return value
        return [self.reply() for _ in range(count)]

    def _line(self):
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._receive()
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def _receive(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("Redis closed the connection")
        self._buffer += data

    def close(self):
        self.socket.close()
