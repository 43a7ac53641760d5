"""Recently verified tokens, so that PostgreSQL need not be asked about each request.

Triggers give ``CallersRevision`` another value with every change of a token or an account. As long as a web
process sees the same one, tokens that it verified under it stay valid: one small query now and
then serves all of them, however many they are and however rarely they are used.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from registry.models import CallersRevision

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.4
FAILED_SECONDS = 2.0
USE_SECONDS = 10.0
MAX_REMEMBERED = 10_000


class Holder(Protocol):
    """A verified token."""

    def is_over(self, *, now: dt.datetime | None = None) -> bool:
        """Whether the token has expired."""


CallerT = TypeVar("CallerT", bound=Holder)


class VerifiedAt(NamedTuple):
    """When PostgreSQL was asked, on the monotonic clock, and under which revision (None: not known)."""

    at: float
    revision: str | None


@dataclass(slots=True)
class _Entry(Generic[CallerT]):
    """``at`` is when it was good for certain; while its ``revision`` stays, it is good whenever that is seen.

    ``asked_at`` is when a request last verified it again. ``revision`` is None where PostgreSQL alone
    cannot know whether it is still good.
    """

    caller: CallerT
    revision: str | None
    at: float
    asked_at: float
    is_used: bool = True


class VerifiedTokens(Generic[CallerT]):
    """Callers by the digest of their tokens."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry[CallerT]] = {}
        self._seen = VerifiedAt(at=float("-inf"), revision=None)
        self._note_first: Callable[[], object] = lambda: None

    def now(self) -> VerifiedAt:
        """Return what is to be remembered with the answer of a PostgreSQL that is asked next."""
        return VerifiedAt(at=time.monotonic(), revision=self._seen.revision)

    def remember(self, digest: str, caller: CallerT, asked: VerifiedAt, *, is_local: bool) -> None:
        """Cache a verified token; ``is_local`` if all that it depends on is in Saga's tables."""
        revision = asked.revision if is_local else None
        self._entries.pop(digest, None)
        self._entries[digest] = _Entry(caller, revision, at=asked.at, asked_at=asked.at)
        if len(self._entries) == 1:
            self._note_first()
        if len(self._entries) > MAX_REMEMBERED:
            self._entries.pop(next(iter(self._entries)), None)

    def forget(self, digest: str) -> None:
        self._entries.pop(digest, None)

    def lookup(
        self, digest: str, *, within_seconds: float, ask_again_seconds: float
    ) -> CallerT | None:
        """Return the caller of a token that was valid within the last seconds, without a query.

        For a token that the revision does not cover, also None once after
        ``ask_again_seconds``: that one request verifies it again, so that the token is
        confirmed before it must be.
        """
        entry = self._entries.get(digest)
        if entry is None or entry.caller.is_over():
            return None
        now = time.monotonic()
        if self._is_covered(entry) and now - self._seen.at <= within_seconds:
            entry.is_used = True
            return entry.caller
        if now - entry.at > within_seconds:
            return None
        if now - entry.asked_at <= ask_again_seconds:
            return entry.caller
        entry.asked_at = now
        return None

    def lookup_stale(
        self, digest: str, *, within_seconds: float, now: dt.datetime
    ) -> CallerT | None:
        """Return the caller of a token that was valid within the last seconds, without side effects."""
        entry = self._entries.get(digest)
        if entry is None or entry.caller.is_over(now=now):
            return None
        good_at = max(entry.at, self._seen.at) if self._is_covered(entry) else entry.at
        return entry.caller if time.monotonic() - good_at <= within_seconds else None

    def take_used(self) -> list[CallerT]:
        """Return the callers that were recalled or confirmed since the last call."""
        used = [entry for entry in list(self._entries.values()) if entry.is_used]
        for entry in used:
            entry.is_used = False
        return [entry.caller for entry in used]

    def look(self) -> None:
        """Ask PostgreSQL for the revision; raises DatabaseError where it does not say."""
        if not self._entries:
            return
        at = time.monotonic()  # first: what is said may be true no longer when it arrives
        revision = CallersRevision.current()
        if revision != self._seen.revision:
            for entry in list(self._entries.values()):
                if self._is_covered(entry):
                    entry.at = max(entry.at, self._seen.at)
        self._seen = VerifiedAt(at, revision)

    def _is_covered(self, entry: _Entry[CallerT]) -> bool:
        return entry.revision is not None and entry.revision == self._seen.revision

    # --- In a web process -------------------------------------------------------------------------

    async def follow(self, note_use: Callable[[list[CallerT]], None]) -> None:
        """Poll in a thread until cancelled; ``note_use`` regularly gets the active callers.

        While PostgreSQL is unavailable no cached token is prolonged.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="confirmed")
        loop = asyncio.get_running_loop()
        next_use = time.monotonic() + USE_SECONDS
        is_used = asyncio.Event()
        self._note_first = functools.partial(loop.call_soon_threadsafe, is_used.set)
        try:
            while True:
                while not self._entries:
                    is_used.clear()
                    if not self._entries:  # none was added between the question and ``clear``
                        await is_used.wait()
                is_use_due = time.monotonic() >= next_use
                if is_use_due:
                    next_use = time.monotonic() + USE_SECONDS
                pause = await loop.run_in_executor(
                    thread, self._look_safely, note_use if is_use_due else None
                )
                await asyncio.sleep(pause)
        finally:
            self._note_first = lambda: None
            thread.shutdown(wait=False)

    def _look_safely(self, note_use: Callable[[list[CallerT]], None] | None) -> float:
        """Look, and return for how many seconds to wait before the next time."""
        try:
            self.look()
            if note_use is not None and (used := self.take_used()):
                note_use(used)
        except (OperationalError, InterfaceError):
            return LOOK_SECONDS  # the database watch reports it
        except DatabaseError:
            logger.exception("revision of the callers not read")
            return FAILED_SECONDS
        finally:
            connections.close_all()
        return LOOK_SECONDS
