"""The one ASGI application that a web process serves: streams natively, everything else by Django.

Django's own ASGI handler runs synchronous views one at a time; so Django is called through WSGI, in a
bounded number of threads, while streams and long polls hold no thread at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from saga_project import wsgi  # sets Django up, before anything imports its models

# isort: split
from a2wsgi import WSGIMiddleware
from django import db
from django.conf import settings

from registry import directory
from registry.directory import projection
from registry.identity import accounts
from registry.operations import encryption_keys
from saga_project.shared import callers, counters, open_mode
from saga_project.shared.database import base as database
from saga_project.web import (
    fast_path,
    head_limits,
    health,
    health_watch,
    request_limits,
    streams,
)
from updates.operations import agent_work

OPERATIONAL_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/api/v1/health"})
KEY_CHECK_SECONDS = 3.0
STREAM_PATHS = frozenset({"/api/v1/events", "/api/v1/events/stream"})
#: Polls of agents wait in their threads.
AGENT_PATH = "/api/v1/agent/"


class DjangoThreads:
    """Django behind a bounded number of threads, with a bounded queue before them."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        middleware: Any = WSGIMiddleware
        self._wsgi: request_limits.Application = middleware(wsgi.application, workers=threads)
        self._most = threads + waiting
        self._running = 0

    async def __call__(
        self,
        scope: request_limits.Scope,
        receive: request_limits.Receive,
        send: request_limits.Send,
    ) -> None:
        if self._running >= self._most:
            await request_limits.answer_error(
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
            await self._wsgi(scope, receive, request_limits.impatient(send))
        finally:
            self._running -= 1


class Application:
    """Four pools of threads, so that what waits for a database that is gone holds up nothing else."""

    def __init__(self) -> None:
        self._streams = streams.Streams()
        self._operational = DjangoThreads(threads=2, waiting=16)
        self._presence = DjangoThreads(threads=4, waiting=512)
        self._others = DjangoThreads(threads=6, waiting=256)
        self._agents = DjangoThreads(threads=agent_work.MAX_WAITING + 4, waiting=256)

    async def __call__(
        self,
        scope: request_limits.Scope,
        receive: request_limits.Receive,
        send: request_limits.Send,
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            callers.believe_proxy(scope)
            await self._answer(request_limits.normalised(scope), receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(
        self,
        scope: request_limits.Scope,
        receive: request_limits.Receive,
        send: request_limits.Send,
    ) -> None:
        if request_limits.has_body(scope):
            try:
                body = await request_limits.read_body(receive)
            except request_limits.Disconnected:
                return
            except request_limits.TooSlow:
                await request_limits.answer_too_slow(scope, send)
                return
            scope, receive = request_limits.with_body(scope, receive, body)
        if scope["path"] in STREAM_PATHS:
            await self._streams(scope, receive, send, self._others)
        else:
            await self._django_for(scope)(scope, receive, send)

    def _django_for(self, scope: request_limits.Scope) -> DjangoThreads:
        path: str = scope["path"]
        if path in OPERATIONAL_PATHS:
            return self._operational
        if path.startswith("/api/v1/services") and (
            scope["method"] == "GET" or path.endswith("/heartbeat")
        ):
            return self._presence
        return self._agents if path.startswith(AGENT_PATH) else self._others

    # --- Beside answering -------------------------------------------------------------------------

    async def _live(self, receive: request_limits.Receive, send: request_limits.Send) -> None:
        """Run what a web process does beside answering, from the server's start to its stop."""
        await receive()
        wsgi.pool_connections()
        if complaint := await _missing_keys():
            await send({"type": "lifespan.startup.failed", "message": complaint})
            return
        _ignore_interrupt()
        head_limits.raise_file_limit()
        open_mode.note_start()
        _on_signal(self._streams.tail.close)
        self._streams.tail.start()
        counters.share(settings.RUN_DIR)
        watching = database.watch_over()
        watching.start()
        beside = [
            asyncio.create_task(directory.follow(projection.refill)),
            asyncio.create_task(accounts.follow()),
            asyncio.create_task(open_mode.warn()),
            asyncio.create_task(_publish_counters()),
            asyncio.create_task(health_watch.follow()),
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._streams.tail.stop()
        await fast_path.FastPathProtocol.close_all()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await asyncio.to_thread(watching.stop)
        await send({"type": "lifespan.shutdown.complete"})


async def _missing_keys() -> str:
    """Return what ``describe_missing`` says; nothing where PostgreSQL takes too long to answer."""
    try:
        async with asyncio.timeout(KEY_CHECK_SECONDS):
            return await asyncio.to_thread(_describe_missing_keys)
    except TimeoutError:
        return ""


def _describe_missing_keys() -> str:
    try:
        return encryption_keys.describe_missing()
    finally:
        db.connections.close_all()


async def _publish_counters() -> None:
    while True:
        health.publish_counters()
        await asyncio.sleep(1)


def _ignore_interrupt() -> None:
    """Do not preempt running processes: SCHED_BATCH of sched(7).

    More has come by then, and goes with it. Under load that is worth a tenth; where other programs keep
    the machine busy, the slowest answers come a millisecond or so later. Another policy, once set, stays.
    """
    with contextlib.suppress(AttributeError, OSError):  # not on Linux, or forbidden
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _on_signal(end: Callable[[], None]) -> None:
    """Call ``end`` as soon as the server is asked to stop, before its own shutdown.

    The server waits for open requests before it ends the lifespan; streams would never end by themselves.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)

        def handle(received: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(end)
            if callable(before):
                before(received, frame)

        signal.signal(number, handle)


application = Application()
