"""Following events as they happen: one tail a process reads the database, all viewers share what it read.

The tail wakes at a wake-up (Redis) or at the latest after a second, so that a lost wake-up costs only
time. It runs in the event loop of a web process; only its queries, and the first pages of new viewers,
take a thread. A viewer that cannot follow loses its queue, not events: it reads pages again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis.asyncio
from django import db
from redis import exceptions as redis_exceptions

from registry import errors, presence
from registry.events import log
from registry.events.log import Cursor, Entry, Selection

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
HURRIED_POLL_SECONDS = 0.1
LISTEN_SECONDS = 5.0
BATCH = 1000
QUEUE_LENGTH = 1000

Result = TypeVar("Result")


class Viewer:
    """A reader of a selection in order, from a cursor on; made by ``Tail.viewer``."""

    def __init__(self, tail: Tail, selection: Selection, cursor: Cursor) -> None:
        self._tail = tail
        self._queue: deque[Entry] = deque()
        self._is_rung = asyncio.Event()
        self._is_behind = True
        self.selection = selection
        self.cursor = cursor

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take what matches; past the bound forget all of it and read pages instead."""
        if self._is_behind:
            return
        wanted = [entry for entry in entries if self.selection.matches(entry)]
        if len(self._queue) + len(wanted) > QUEUE_LENGTH:
            self.fall_behind()
            return
        self._queue.extend(wanted)
        if wanted:
            self._is_rung.set()

    def fall_behind(self) -> None:
        self._is_behind = True
        self._queue.clear()
        self.wake()

    def wake(self) -> None:
        self._is_rung.set()

    def place(self) -> Cursor:
        """Return a cursor that continues after all that was read, also past what did not match."""
        is_up_to_date = not self._is_behind and not self._queue
        return max(self.cursor, self._tail.place or self.cursor) if is_up_to_date else self.cursor

    async def read(self, *, timeout_seconds: float, limit: int = BATCH) -> list[Entry]:
        """Return what comes next, oldest first; nothing where nothing came in time.

        Raises CursorTooOld for a viewer so slow that events were purged before it read them.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._tail.is_closing:
            entries = await self._next(deadline, limit)
            if entries:
                self.cursor = entries[-1].cursor
                return entries
            if time.monotonic() >= deadline:
                break
        return []

    async def _next(self, deadline: float, limit: int) -> list[Entry]:
        if self._is_behind:
            return await self._catch_up(deadline, limit)
        while self._queue:
            taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
            if fresh := [entry for entry in taken if entry.cursor > self.cursor]:
                return fresh
        self._is_rung.clear()
        await _wait(self._is_rung, deadline)
        return []

    async def _catch_up(self, deadline: float, limit: int) -> list[Entry]:
        """Read one page; a page that is not full leaves nothing unread before the tail's own place.

        That holds because the tail had a place, and this viewer its queue, before the page was read.
        """
        if not await self._tail.has_place(deadline):
            return []
        self._is_behind = False
        try:
            page = await self._tail.query(
                lambda: log.following(self.selection, self.cursor, limit=limit)
            )
        except db.Error:
            self._is_behind = True
            await asyncio.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
            return []
        if len(page.entries) == limit:
            self.fall_behind()
        return page.entries


async def _wait(event: asyncio.Event, deadline: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await event.wait()
    except TimeoutError:
        return False


class Tail:
    """One web process's view of the end of the log; used from its event loop only."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self.place: Cursor | None = None
        self._read_until = 0
        self._is_placed = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._wakeup = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="events")
        self.is_closing = False

    # --- Life -------------------------------------------------------------------------------------

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._listen())]

    def close(self) -> None:
        """End every viewer with what it has; the server waits for them."""
        self.is_closing = True
        for viewer in self._viewers:
            viewer.wake()

    async def stop(self) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- Viewers ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def viewer(self, selection: Selection, cursor: Cursor) -> Iterator[Viewer]:
        viewer = Viewer(self, selection, cursor)
        self._viewers.add(viewer)
        self._is_wanted.set()
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    async def has_place(self, deadline: float) -> bool:
        """Wait until the tail knows from where on it delivers."""
        return await _wait(self._is_placed, deadline)

    async def query(self, read: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _in_thread, read)

    # --- Reading ----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            if not self._viewers:
                self._rest()
                await self._is_wanted.wait()
            try:
                is_hurried = await self._look()
            except errors.CursorTooOld:
                self._lose_place()
                is_hurried = True
            except db.Error as exc:
                logger.warning("events cannot be read", extra={"error": str(exc).strip()})
                is_hurried = False
            wait_seconds = HURRIED_POLL_SECONDS if is_hurried else POLL_SECONDS
            await _wait(self._wakeup, time.monotonic() + wait_seconds)
            self._wakeup.clear()

    def _rest(self) -> None:
        """Without viewers nothing is read; the next viewer starts from its own cursor."""
        self._lose_place()
        self._is_wanted.clear()

    def _lose_place(self) -> None:
        self.place = None
        self._is_placed.clear()
        for viewer in self._viewers:
            viewer.fall_behind()

    async def _look(self) -> bool:
        """Deliver what is new; returns whether more may show soon, behind an open transaction."""
        place = self.place
        if place is None:
            self.place = await self.query(log.head)
            self._is_placed.set()
            return True
        oldest_open, next_one = await self.query(log.open_transactions)
        if oldest_open != self._read_until:
            await self._deliver(place)
            self._read_until = oldest_open
        return oldest_open != next_one

    async def _deliver(self, place: Cursor) -> None:
        while True:
            read = functools.partial(log.following, Selection(), place, limit=BATCH)
            page = await self.query(read)
            self.place = place = page.cursor
            for viewer in self._viewers:
                viewer.offer(page.entries)
            if len(page.entries) < BATCH:
                return

    async def _listen(self) -> None:
        """Listen for wake-ups while there are viewers; without Redis only the poll remains."""
        while True:
            await self._is_wanted.wait()
            try:
                await self._receive()
            except (redis_exceptions.RedisError, OSError):
                logger.info("no connection for wake-ups; polling")
                await asyncio.sleep(POLL_SECONDS)

    async def _receive(self) -> None:
        url = await presence.server_url()
        client = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=1, socket_timeout=2 * LISTEN_SECONDS
        )
        async with client, client.pubsub() as channel:
            await channel.subscribe(presence.WAKEUP_CHANNEL)
            while self._is_wanted.is_set():
                if await channel.get_message(timeout=LISTEN_SECONDS) is None:
                    await channel.ping()
                    if await channel.get_message(timeout=LISTEN_SECONDS) is None:
                        raise redis_exceptions.TimeoutError("Redis does not answer.")
                self._wakeup.set()


def _in_thread(read: Callable[[], Result]) -> Result:
    """Run a query and give its connection back, also a broken one."""
    try:
        return read()
    finally:
        db.connections.close_all()
