"""One connection to Redis in an event loop, with nothing between a command and its bytes.

For the two hot paths only, heartbeats and the change channel: a client library's pool, locks and tasks cost
more there than what is asked. Parsing is hiredis's, and how to reach Redis is redis-py's to read out of the
URL. Everything else goes through ``saga_project.shared.redis``.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Any

import hiredis
from django.conf import settings
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from saga_project.shared import redis_urls

CONNECT_SECONDS = 0.5


#: Called with the answer, which is one of redis' exceptions where there was none or it was an error.
Answered = Callable[[Any], None]


class RedisProtocol(asyncio.Protocol):
    """Answers come in the order of the commands; published messages go to ``received``.

    ``lost`` is called once when the connection ends without a local close.
    """

    def __init__(
        self,
        received: Callable[[Any], None] | None = None,
        lost: Callable[[Exception], None] | None = None,
    ) -> None:
        self._reader = hiredis.Reader(replyError=ResponseError)
        self._asked: collections.deque[Answered] = collections.deque()
        self._heard = received
        self._lost = lost
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, *words: str | bytes | int) -> None:
        """Write a command with its answer going to ``received``; raises redis' ConnectionError."""
        if self._transport is None:
            raise _ended()
        self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]

    def call(self, answered: Answered, *words: str | bytes | int) -> None:
        """Write a command with its answer going to ``answered``; raises redis' ConnectionError."""
        self.send(*words)
        self._asked.append(answered)

    async def ask(self, *words: str | bytes | int) -> Any:
        """Return the answer to a command; raises redis' ConnectionError and ResponseError."""
        future = asyncio.get_running_loop().create_future()

        def answered(answer: Any) -> None:
            if not future.done():  # the caller may have given up
                future.set_result(answer)

        self.call(answered, *words)
        answer = await future
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._lost = None
        self._end()

    # --- What the event loop calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError:
            self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(_ended())

    def _take(self, reply: Any) -> None:
        if self._asked:
            self._asked.popleft()(reply)
        elif self._heard is not None:
            self._heard(reply)

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        asked, self._asked = self._asked, collections.deque()
        for answered in asked:
            answered(_ended())


def _ended() -> RedisConnectionError:
    return RedisConnectionError("Redis closed the connection.")


async def server_url() -> str:
    """Return the address of the Redis that takes writes now; raises RedisError where none is known."""
    url: str = settings.REDIS_URL
    known = redis_urls.parse_sentinels(url)
    if known is None:
        return url
    timeouts = {"socket_timeout": redis_urls.TIMEOUT_SECONDS}
    manager = Sentinel(known.sentinels, sentinel_kwargs=timeouts)  # type: ignore[no-untyped-call]
    try:
        host, port = await manager.discover_master(known.master)
    finally:
        for sentinel in manager.sentinels:
            await sentinel.aclose()
    return known.server_url(host, port)


async def connect(
    *,
    received: Callable[[Any], None] | None = None,
    lost: Callable[[Exception], None] | None = None,
) -> RedisProtocol:
    """Open a connection to ``REDIS_URL``; raises OSError, TimeoutError and RedisError."""
    wire = RedisProtocol(received, lost)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            pool = ConnectionPool.from_url(await server_url(), protocol=2)
            url = pool.make_connection()  # type: ignore[no-untyped-call]
            await _dial(url, wire)
            if url.password:
                names = (url.username,) if url.username else ()
                await wire.ask("AUTH", *names, url.password)
            if url.db:
                await wire.ask("SELECT", url.db)
    except BaseException:
        wire.close()
        raise
    return wire


async def _dial(url: AbstractConnection, wire: RedisProtocol) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(url, UnixDomainSocketConnection):
        await loop.create_unix_connection(lambda: wire, url.path)
    elif isinstance(url, Connection):
        context = url.ssl_context.get() if isinstance(url, SSLConnection) else None
        await loop.create_connection(lambda: wire, url.host, url.port, ssl=context)
