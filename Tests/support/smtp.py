"""A real SMTP server that keeps what it is given, and can be told to refuse."""

from aiosmtpd.controller import Controller

from .server import free_port


class MailServer:
    def __init__(self):
        self.messages = []
        self.refusals = 0
        self.attempts = 0
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())

    async def handle_DATA(self, server, session, envelope):
        self.attempts += 1
        if self.refusals:
            self.refusals -= 1
            return "451 try again later"
        self.messages.append(envelope)
        return "250 OK"

    @property
    def port(self):
        return self._controller.port

    def start(self):
        self._controller.start()
        return self

    def stop(self):
        self._controller.stop()
