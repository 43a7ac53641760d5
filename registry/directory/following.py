"""Following Redis' change channel, in the event loop of a web process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections
from redis import exceptions as redis_exceptions

from registry import presence
from registry.directory import changes, memory
from saga_project.shared import errors

logger = logging.getLogger(__name__)

PING_SECONDS = 0.25
TICK_SECONDS = 1.0
SILENT_PINGS = round(memory.LEASE_SECONDS / PING_SECONDS)


async def follow(refill: Callable[[], int]) -> None:
    """Keep this process' memory a replica of presence, until cancelled.

    ``refill`` is called, in a thread, where Redis turns out to be empty.
    """
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="directory")
    try:
        while True:
            await asyncio.sleep(await _follow_once(refill, thread))
    finally:
        memory.end_lease()
        thread.shutdown(wait=False)


async def _follow_once(refill: Callable[[], int], thread: ThreadPoolExecutor) -> float:
    """Follow until something is wrong; return for how many seconds to wait before trying again."""
    try:
        await _Follower(thread).run(refill)
    except changes.OutOfSync as exc:
        logger.warning("directory begins again", extra={"reason": str(exc)})
    except (errors.SagaError, redis_exceptions.RedisError, OSError) as exc:
        logger.warning("directory has no Redis", extra={"reason": str(exc)})
        return 0.25
    except Exception:
        # Whatever it is, a process without a replica still answers, through Redis.
        logger.exception("directory failed")
        return 1.0
    finally:
        memory.end_lease()
    return 0.0


class _Follower:
    """One subscription, from the snapshot that it begins with to the first error."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._early: list[bytes] | None = []  # messages that arrive while the snapshot is taken
        self._unanswered = 0
        self._reason: Exception | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, refill: Callable[[], int]) -> None:
        wire = await presence.connect(received=self._receive, lost=self._lose)
        try:
            await wire.ask("SUBSCRIBE", presence.CHANGES_CHANNEL)
            await self._in_thread(_fill, refill)
            await self._in_thread(changes.load)
            early, self._early = self._early or [], None
            for data in early:
                changes.apply(data)
            await self._keep_up(wire)
        finally:
            wire.close()

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _receive(self, message: list[bytes]) -> None:
        """Take a message, or the answer to a ping, which says as well that nothing was missed."""
        self._unanswered = 0
        if message[0] != b"message":
            if self._early is None:
                memory.note_channel()
        elif self._early is not None:
            self._early.append(message[2])
        else:
            try:
                changes.apply(message[2])
            except Exception as exc:  # noqa: BLE001 - ``run`` raises it and begins again
                self._lose(exc)
            else:
                memory.note_channel()

    def _lose(self, reason: Exception) -> None:
        memory.end_lease()
        self._reason = self._reason or reason
        if not self._ended.done():
            self._ended.set_result(None)

    async def _keep_up(self, wire: presence.RedisProtocol) -> None:
        next_tick = 0.0
        while self._reason is None:
            # Pings, not seconds: a process that was halted has much to read before it may decide.
            if self._unanswered >= SILENT_PINGS:
                raise changes.OutOfSync("the channel is silent")
            self._unanswered += 1
            wire.send("PING")
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_SECONDS
                await self._in_thread(_tick)
            await asyncio.wait([self._ended], timeout=PING_SECONDS)
        raise self._reason


def _fill(refill: Callable[[], int]) -> None:
    try:
        presence.ensure_filled(refill)
    finally:
        connections.close_all()


def _tick() -> None:
    tick = presence.tick()
    if tick.filled_us != memory.state.filled_us:
        # Perhaps another process has refilled it already: its sequence numbers began again.
        raise changes.OutOfSync("Redis lost its data")
    if memory.set_clock(tick.now_us) > memory.CLOCK_STEP_US:
        # A deadline that has passed on the new clock may have been extended by a message still to come.
        raise changes.OutOfSync("Redis' clock was set")
