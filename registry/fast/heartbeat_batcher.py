"""Batched heartbeats of a web process: those that arrive while one call is under way share the next one.

A busy process calls Redis once for many heartbeats, and an idle one answers at once. Each heartbeat is
answered after Redis has recorded it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Sequence

from registry import directory, presence
from registry.presence import Callback
from saga_project.shared import errors

logger = logging.getLogger(__name__)

MAX_MEMBERS = 4000  # Redis serves no other client while a script runs.

_Batch = list[tuple[Sequence[str], Callback]]


class HeartbeatBatcher:
    def __init__(self) -> None:
        self._renewal = presence.Renewal()
        self._waiting: _Batch = []
        self._is_running = False
        self._idle: asyncio.Event | None = None

    def renew(self, members: Sequence[str], callback: Callback) -> None:
        """Renew the members and call back with the times; the caller updates its entries in memory."""
        self._waiting.append((members, callback))
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_soon(self._gather, 0)

    async def close(self) -> None:
        if self._is_running:
            self._idle = asyncio.Event()
            await self._idle.wait()
        self._renewal.close()

    def _gather(self, count: int) -> None:
        """Wait as long as each turn of the event loop brings more: one call for many costs the least."""
        if len(self._waiting) > count:
            asyncio.get_running_loop().call_soon(self._gather, len(self._waiting))
            return
        batch = self._take()
        members = [member for some, _ in batch for member in some]
        self._renewal.renew(members, functools.partial(self._answer_all, batch))

    def _take(self) -> _Batch:
        """Return the requests that waited longest, as many as one call may carry (at least one)."""
        count = total = 0
        for members, _ in self._waiting:
            total += len(members)
            if count and total > MAX_MEMBERS:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _answer_all(self, batch: _Batch, times: list[int] | errors.Unavailable) -> None:
        if isinstance(times, errors.Unavailable):
            for _, callback in batch:
                _answer(callback, times)
        else:
            start = 0
            for members, callback in batch:
                _answer(callback, times[start : start + len(members)])
                start += len(members)
            directory.note_version()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._gather, 0)
            return
        self._is_running = False
        if self._idle is not None:
            self._idle.set()


def _answer(callback: Callback, times: list[int] | errors.Unavailable) -> None:
    """Answer one request; an error there does not affect the others."""
    try:
        callback(times)
    except Exception:
        logger.exception("a heartbeat could not be answered")
