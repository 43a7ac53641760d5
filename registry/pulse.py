"""Heartbeats of a web process, gathered: whatever comes while one call is under way goes with the next.

So Redis is asked once for many, the busier the more, and an idle process answers at once. Each heartbeat is
answered after Redis took it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from registry import directory, presence
from saga_project import errors

logger = logging.getLogger(__name__)

MAX_MEMBERS = 4000  # Redis serves nobody else while a script runs.

#: Called with the moments in µs (0 for who is not there), or with what is unavailable.
Told = Callable[[list[int] | errors.Unavailable], None]


class Pulse:
    def __init__(self) -> None:
        self._renewal = presence.Renewal()
        self._waiting: list[tuple[Sequence[str], Told]] = []
        self._beating: asyncio.Task[None] | None = None

    def beat(self, members: Sequence[str], told: Told) -> None:
        """Renew the members, and tell."""
        self._waiting.append((members, told))
        if self._beating is None or self._beating.done():
            self._beating = asyncio.get_running_loop().create_task(self._beat_all())

    async def close(self) -> None:
        if self._beating is not None:
            await self._beating
        await self._renewal.close()

    async def _beat_all(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                await self._beat_once(self._take())
        finally:
            self._beating = None

    async def _gather(self) -> None:
        """Wait as long as each turn of the event loop brings more: one call for many costs the least."""
        count = 0
        while count < len(self._waiting):
            count = len(self._waiting)
            await asyncio.sleep(0)

    def _take(self) -> list[tuple[Sequence[str], Told]]:
        """Return those who waited longest, as many as one call may carry (always at least one)."""
        count = total = 0
        for members, _ in self._waiting:
            total += len(members)
            if count and total > MAX_MEMBERS:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _beat_once(self, batch: list[tuple[Sequence[str], Told]]) -> None:
        members = [member for some, _ in batch for member in some]
        try:
            beats = await self._renewal.renew(members)
            directory.note_beats(members, beats)
        except errors.Unavailable as exc:
            for _, told in batch:
                _tell(told, exc)
            return
        except Exception:
            # Whoever waits is answered, whatever it is: a beat that nobody ends would hold all later ones.
            logger.exception("heartbeats failed")
            for _, told in batch:
                _tell(told, errors.Unavailable("The heartbeat failed. Try again in a moment."))
            return
        start = 0
        for some, told in batch:
            _tell(told, beats[start : start + len(some)])
            start += len(some)


def _tell(told: Told, beats: list[int] | errors.Unavailable) -> None:
    """Answer one; what goes wrong there is not the others' concern."""
    try:
        told(beats)
    except Exception:
        logger.exception("a heartbeat could not be answered")
