"""A mail server of a few commands, which keeps what it takes."""

from __future__ import annotations

import email
import email.message
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SMTPServer(socketserver.ThreadingTCPServer):
    """Answers each recipient with ``answer``; ``messages`` are those that it took."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.answer = b"250 fine"
        self.messages: list[email.message.EmailMessage] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Conversation(socketserver.StreamRequestHandler):
    server: SMTPServer

    def handle(self) -> None:
        self.say(b"220 test")
        for raw in self.rfile:
            verb = raw[:4].upper()
            if verb == b"DATA":
                self.say(b"354 go on")
                self.take()
            elif verb == b"RCPT":
                self.say(self.server.answer)
            else:
                self.say(b"221 bye" if verb == b"QUIT" else b"250 fine")
            if verb == b"QUIT":
                return

    def take(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.server.messages.append(message)
        self.say(b"250 taken")

    def say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")


@contextmanager
def serving() -> Iterator[SMTPServer]:
    with SMTPServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
