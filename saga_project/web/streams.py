"""Long polls and Server-Sent Events, which wait in the event loop instead of a thread.

Django checked the request and handed it over (``registry.api.events``); its answer's headers are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any

from registry import errors
from registry.api import events
from registry.events import tail
from registry.events.log import Cursor, Entry, Page
from saga_project.shared import counters, strict_json
from saga_project.web import request_limits

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15.0
JUDGE_SECONDS = 15.0  # A token that was revoked ends its streams within this and a keep-alive.
RETRY_MILLISECONDS = 3000
MAX_LONG_POLLS = 2000
_OWN_HEADERS = frozenset({b"content-length", b"content-type", b"cache-control"})


class Streams:
    """Serves what Django handed over; one a web process."""

    def __init__(self) -> None:
        self.tail = tail.Tail()

    async def __call__(
        self,
        scope: request_limits.Scope,
        receive: request_limits.Receive,
        send: request_limits.Send,
        django: request_limits.Application,
    ) -> None:
        """Call Django; if it handed the request over, continue here."""
        answer = _BufferedAnswer(scope, send)
        try:
            await django(scope, receive, answer.send)
            work = answer.work
            if isinstance(work, events.Stream):
                await _unless_disconnected(receive, self._stream(work, answer))
            elif isinstance(work, events.LongPoll):
                await _unless_disconnected(receive, self._long_poll(work, answer))
        except TimeoutError:
            logger.info("a reader took nothing for too long", extra={"path": scope["path"]})
        finally:
            if isinstance(stream := scope.get(events.HANDED_OVER), events.Stream):
                events.slots_of_streams.give_back(stream.slot)

    # --- Long polls -------------------------------------------------------------------------------

    async def _long_poll(self, poll: events.LongPoll, answer: _BufferedAnswer) -> None:
        entries: list[Entry] = []
        if counters.cells[counters.LONG_POLLS] < MAX_LONG_POLLS:
            counters.cells[counters.LONG_POLLS] += 1
            try:
                entries = await self._wait_for(poll)
            finally:
                counters.cells[counters.LONG_POLLS] -= 1
        page = Page(entries, entries[-1].cursor if entries else poll.after)
        content = strict_json.dumps(page.document())
        await answer.begin(
            b"application/json", (b"content-length", str(len(content)).encode("ascii"))
        )
        await answer.write(content, is_last=True)

    async def _wait_for(self, poll: events.LongPoll) -> list[Entry]:
        with self.tail.viewer(poll.selection, poll.after) as viewer:
            try:
                return await viewer.read(timeout_seconds=poll.wait_seconds, limit=poll.limit)
            except errors.CursorTooOld:
                return []  # Purged while it waited; the next call gets the error.

    # --- Server-Sent Events -----------------------------------------------------------------------

    async def _stream(self, stream: events.Stream, answer: _BufferedAnswer) -> None:
        counters.cells[counters.STREAMS] += 1
        try:
            await self._follow(stream, answer)
        finally:
            counters.cells[counters.STREAMS] -= 1

    async def _follow(self, stream: events.Stream, answer: _BufferedAnswer) -> None:
        await answer.begin(b"text/event-stream; charset=utf-8", (b"x-accel-buffering", b"no"))
        with self.tail.viewer(stream.selection, stream.after) as viewer:
            await answer.write(b"retry: %d\n%b\n" % (RETRY_MILLISECONDS, _place(stream.after)))
            with contextlib.suppress(errors.CursorTooOld):
                judge_at = time.monotonic() + JUDGE_SECONDS
                while not self.tail.is_closing:
                    entries = await viewer.read(timeout_seconds=KEEP_ALIVE_SECONDS, limit=100)
                    await answer.write(_frames(entries) or _keep_alive(viewer.place()))
                    if time.monotonic() < judge_at:
                        continue
                    if not await self.tail.query(lambda: events.may_go_on(stream)):
                        break
                    judge_at = time.monotonic() + JUDGE_SECONDS
        await answer.write(b"", is_last=True)


def _place(cursor: Cursor) -> bytes:
    return f"id: {cursor}\n".encode()


def _keep_alive(cursor: Cursor) -> bytes:
    """A comment keeps the connection open; by its id, a reader with a narrow filter can resume."""
    return b": keep-alive\n" + _place(cursor) + b"\n"


def _frames(entries: Iterable[Entry]) -> bytes:
    return b"".join(
        b"%bevent: %b\ndata: %b\n\n"
        % (_place(entry.cursor), entry.type.encode(), strict_json.dumps(entry.document()))
        for entry in entries
    )


async def _unless_disconnected(
    receive: request_limits.Receive, work: Coroutine[Any, Any, None]
) -> None:
    """Run until it ends or the client closes the connection."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnect(receive: request_limits.Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _BufferedAnswer:
    """Django's answer: passed on, unless the request was handed over; then its headers are ours."""

    def __init__(self, scope: request_limits.Scope, send: request_limits.Send) -> None:
        self._scope = scope
        self._send = send
        self._start: request_limits.Message = {}
        self.work: object = None

    async def send(self, message: request_limits.Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            self.work = self._scope.get(events.HANDED_OVER)
            self._start = message
        if self.work is None:
            await self._send(message)

    async def begin(self, content_type: bytes, *headers: tuple[bytes, bytes]) -> None:
        kept = [pair for pair in self._start["headers"] if pair[0] not in _OWN_HEADERS]
        own = [(b"content-type", content_type), (b"cache-control", b"no-store"), *headers]
        await self._send({**self._start, "headers": kept + own})

    async def write(self, content: bytes, *, is_last: bool = False) -> None:
        """Send; a client that takes nothing for too long is disconnected (TimeoutError)."""
        async with asyncio.timeout(request_limits.SEND_TIMEOUT_SECONDS):
            await self._send(
                {"type": "http.response.body", "body": content, "more_body": not is_last}
            )
