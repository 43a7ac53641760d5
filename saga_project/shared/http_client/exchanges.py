"""A connection of the event loop that carries one HTTP exchange at a time, and those kept for the next one.

A kept connection leads to an address that was checked when it was dialled. It is used again only for the same
scheme, host and port, only while the server has sent nothing unasked, and at most ``MAX_AGE_SECONDS``: then
the name is resolved and the address checked anew. Behind a proxy, it is a tunnel to that address, or a
connection to the proxy of which every request names that address.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from saga_project.shared.http_client import proxies
from saga_project.shared.http_client.errors import AnswerBroken, AnswerTooLarge, NoAnswer

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024
MAX_AGE_SECONDS = 60.0
#: How long the rest of an answer that was not asked for may take to arrive.
DRAIN_SECONDS = 1.0

Origin = tuple[str, str, int]
Answer = tuple[int, bytes | None]


class Connection(asyncio.Protocol):
    """``ask`` sends a request; its future is the status with the body, if that is wanted."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, purpose: str) -> None:
        self.dialled_at = loop.time()
        self.is_lost = False
        #: The answer arrived to its end, and the server keeps the connection open.
        self.is_reusable = False
        #: Of TLS, once it is known.
        self.certificate_expires_at: float | None = None
        #: Where the proxy itself answers the requests.
        self.route: proxies.PlainRoute | None = None
        self.drains_until = 0.0
        self._loop, self._purpose = loop, purpose
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._keeper: KeptConnections | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, head: bytes, *, wants_body: bool) -> asyncio.Future[Answer]:
        self._parser = httptools.HttpResponseParser(self)
        self._wants_body, self._body = wants_body, bytearray()
        self._received, self._status, self._is_complete = 0, 0, False
        self.is_reusable, self._keeper = False, None
        self._done = self._loop.create_future()
        if self.is_lost or self._transport is None:
            self._fail(NoAnswer(f"The {self._purpose} URL closed the connection."))
        else:
            self._transport.write(head)
        return self._done

    @property
    def has_answered(self) -> bool:
        """Whether anything of an answer to the last request arrived."""
        return self._received > 0

    def abort(self) -> None:
        self.is_lost = True
        if self._transport is not None:
            self._transport.abort()

    def hand_to(self, keeper: KeptConnections) -> None:
        """Give the connection to ``keeper`` once the answer is complete, or close it."""
        if self.is_reusable:
            keeper.put(self)
        elif self._is_complete or self.is_lost:
            self.abort()
        else:  # the rest of the body is on its way
            self._keeper = keeper
            self.drains_until = self._loop.time() + DRAIN_SECONDS
            keeper.watch(self)

    # --- What the transport and the parser call ---

    def data_received(self, data: bytes) -> None:
        if self._done is None or self._is_complete:
            self.abort()  # unasked: it could be taken for the next answer
            return
        self._received += len(data)
        if self._received > MAX_HEAD_BYTES + MAX_BODY_BYTES:
            self._fail(AnswerTooLarge(f"The {self._purpose} URL's answer is too long."))
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.is_reusable = False
            self._fail(AnswerBroken(f"The {self._purpose} URL's answer is not HTTP."))
            self.abort()
        if self.is_reusable and self._keeper is not None:
            self._keeper.put(self)

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise httptools.HttpParserError("two answers to one request")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:  # not an interim answer
            self._status = status
            if self.route and status == proxies.LOGIN_WANTED:
                self._fail(proxies.ProxyRefused(proxies.LOGIN_REFUSED))
            if not self._wants_body:
                self._finish()

    def on_body(self, data: bytes) -> None:
        if not self._wants_body:
            return
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self._fail(
                AnswerTooLarge(
                    f"The {self._purpose} URL's answer has more than {MAX_BODY_BYTES:,} bytes."
                )
            )

    def on_message_complete(self) -> None:
        if not self._status:
            return
        self._is_complete = True
        self.is_reusable = self._parser.should_keep_alive()
        self._finish()

    def eof_received(self) -> None:
        self.is_reusable = False
        if self._done is not None and self._status:
            self._finish()  # a body without a length ends so; one that was cut short is no JSON

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost, self.is_reusable = True, False
        if self._done is not None:
            self._fail(
                AnswerBroken(f"The {self._purpose} URL's answer was cut short.")
                if self._status
                else NoAnswer(f"The {self._purpose} URL closed the connection without an answer.")
            )

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result((self._status, bytes(self._body) if self._wants_body else None))

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


class KeptConnections:
    """Connections that wait for the next request to the same origin; ``sweep`` closes those that are old."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit: int) -> None:
        self._loop, self._limit = loop, limit
        self._idle: dict[Origin, list[Connection]] = {}
        self._draining: set[Connection] = set()
        self._origins: dict[Connection, Origin] = {}

    def take(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last, if there is one that may be used again."""
        waiting = self._idle.get(origin, [])
        while waiting:
            connection = waiting.pop()
            if self._is_usable(connection):
                return connection
            self._forget(connection)
        self._idle.pop(origin, None)
        return None

    def own(self, connection: Connection, origin: Origin) -> None:
        """Note where a new connection leads."""
        self._origins[connection] = origin

    def watch(self, connection: Connection) -> None:
        self._draining.add(connection)

    def put(self, connection: Connection) -> None:
        self._draining.discard(connection)
        origin = self._origins.get(connection)
        if origin is None or len(self._origins) > self._limit or not self._is_usable(connection):
            self._forget(connection)
        else:
            self._idle.setdefault(origin, []).append(connection)

    def drop(self, connection: Connection) -> None:
        """Close a connection whose call failed."""
        self._forget(connection)

    def sweep(self) -> None:
        """Close what is old, lost, or still sends; about once a second."""
        now = self._loop.time()
        for connection in [each for each in self._draining if each.drains_until <= now]:
            self._forget(connection)
        for origin, waiting in list(self._idle.items()):
            usable = [each for each in waiting if self._is_usable(each)]
            if len(usable) == len(waiting):
                continue
            for connection in waiting:
                if not self._is_usable(connection):
                    self._forget(connection)
            if usable:
                self._idle[origin] = usable
            else:
                del self._idle[origin]

    def close(self) -> None:
        for connection in list(self._origins):
            self._forget(connection)
        self._idle.clear()

    def _is_usable(self, connection: Connection) -> bool:
        is_young = self._loop.time() - connection.dialled_at < MAX_AGE_SECONDS
        return connection.is_reusable and not connection.is_lost and is_young

    def _forget(self, connection: Connection) -> None:
        connection.abort()
        self._draining.discard(connection)
        self._origins.pop(connection, None)
