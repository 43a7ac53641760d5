"""Limits on request heads and connections, where the bytes arrive: size, fields, time and number."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
from typing import Any

import orjson
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from saga_project.web import cross_origin

MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 100
HEAD_SECONDS = 10.0
NEW_SECONDS = 30.0
#: After a refusal the rest is read and dropped, or the client would not see the answer.
LINGER_SECONDS = 2.0
_FIELD_BYTES = len(": \r\n")


class HeadTooLarge(Exception):
    """The head has more bytes or fields than a request may have."""


class LimitedProtocol(HttpToolsProtocol):
    """The server's HTTP protocol with limits; fields of a trailer are dropped.

    A head is what comes before a body: request line and fields. uvicorn limits none of this.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_head_open = False
        self._is_message_open = False
        self._is_refused = False
        self._is_too_large = False
        self._head_bytes = self._fields = 0
        self._bytes_without_body = 0
        self._head_timer: asyncio.TimerHandle | None = None

    # --- What the server calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > settings.SAGA_MAX_CONNECTIONS:
            self._answer_and_close(
                b"503 Service Unavailable",
                "Saga is busy",
                "This process has as many connections as SAGA_MAX_CONNECTIONS allows.",
            )
            return
        self.timeout_keep_alive_task = self.loop.call_later(
            NEW_SECONDS, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._bytes_without_body += len(data)
        super().data_received(data)
        if self._is_refused or self.parser is None:
            return
        if self._bytes_without_body > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            self._set_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        if self._is_too_large:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    # --- What the parser calls --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._is_head_open = self._is_message_open = True
        self._head_bytes = self._fields = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_head_open:
            return
        self._fields += 1
        self._count(len(name) + len(value) + _FIELD_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._bytes_without_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_message_open = False
        self._bytes_without_body = 0
        super().on_message_complete()

    # --- Limits -----------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or self._fields > MAX_FIELDS:
            self._is_too_large = True
            raise HeadTooLarge

    def _set_head_timer(self) -> None:
        """Run the timer while a head is incomplete, or bytes came that begin none."""
        if self._is_head_open or not (self._is_message_open or self._is_answering()):
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_head)
        else:
            self._cancel_head_timer()

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_head(self) -> None:
        self._head_timer = None
        if self._is_answering():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_head)
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse_head(self) -> None:
        self._answer_and_close(
            b"431 Request Header Fields Too Large",
            "Request head too large",
            f"A request head has at most {MAX_HEAD_BYTES} bytes and {MAX_FIELDS} fields.",
        )

    def _answer_and_close(self, status: bytes, error: str, message: str) -> None:
        """Answer and close; where another answer is on its way, only close."""
        self._is_refused = True
        self._cancel_head_timer()
        self._unset_keepalive_if_required()
        if self._is_answering():
            self.transport.close()
            return
        content = orjson.dumps({"error": error, "message": message})
        more = b"".join(b"%b: %b\r\n" % field for field in self._cross_origin_fields())
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\n%bconnection: close\r\n\r\n%b"
            % (status, len(content), secrets.token_hex(16).encode("ascii"), more, content)
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _cross_origin_fields(self) -> cross_origin.Fields:
        known = dict(self.headers) if self._is_message_open else {}
        if b"origin" not in known:
            return cross_origin.fields_unread()
        return cross_origin.fields(self.url.decode("latin-1"), known[b"origin"].decode("latin-1"))


def raise_file_limit() -> None:
    """Raise this process's limit of open files, and so of connections, to the system's maximum."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(
        ValueError, OSError
    ):  # some systems name a limit that they do not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
