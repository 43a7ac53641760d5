"""The one ASGI application that a web process serves: streams natively, everything else by Django.

Django's own ASGI handler runs synchronous views one at a time; so Django is called through WSGI, in a
bounded number of threads, while streams and long polls hold no thread at all.
"""

from __future__ import annotations

import logging
import os

from saga_project import wsgi  # sets Django up, before anything imports its models

# isort: split
from a2wsgi import WSGIMiddleware

from saga_project import edge

logger = logging.getLogger(__name__)

THREADS = 8
WAITING_REQUESTS = 512
OPERATIONAL_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/api/v1/health"})


class DjangoThreads:
    """Django behind a bounded number of threads, with a bounded queue before them."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._wsgi = WSGIMiddleware(wsgi.application, workers=threads)
        self._most = threads + waiting
        self._running = 0

    async def __call__(self, scope: edge.Scope, receive: edge.Receive, send: edge.Send) -> None:
        if self._running >= self._most:
            await edge.answer_error(
                scope,
                send,
                status=503,
                error="Saga is busy",
                message="Too many requests are waiting already. Try again in a moment.",
                headers=[(b"retry-after", b"1")],
            )
            return
        self._running += 1
        try:
            await self._wsgi(scope, receive, send)  # type: ignore[arg-type]
        finally:
            self._running -= 1


class Application:
    def __init__(self) -> None:
        self._django = DjangoThreads(threads=THREADS, waiting=WAITING_REQUESTS)
        # Probes and scrapes must be answered while every other thread waits for a database that is gone.
        self._operational = DjangoThreads(threads=2, waiting=16)

    async def __call__(self, scope: edge.Scope, receive: edge.Receive, send: edge.Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(edge.normalised(scope), receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: edge.Scope, receive: edge.Receive, send: edge.Send) -> None:
        if edge.has_body(scope):
            try:
                body = await edge.read_body(receive)
            except edge.Disconnected:
                return
            except edge.TooSlow:
                await edge.answer_error(
                    scope,
                    send,
                    status=408,
                    error="Request timeout",
                    message="The request's body did not arrive in time.",
                    headers=[(b"connection", b"close")],
                )
                return
            scope, receive = edge.with_body(scope, receive, body)
        django = self._operational if scope["path"] in OPERATIONAL_PATHS else self._django
        await django(scope, receive, send)

    async def _live(self, receive: edge.Receive, send: edge.Send) -> None:
        """Run what a web process does beside answering, from the server's start to its stop."""
        await receive()
        logger.info("web process starts", extra={"pid": os.getpid()})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


application = Application()
