"""Heartbeats, and what a change of a service does to its members."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import orjson
from redis import exceptions as redis_exceptions

from registry.presence import connections, keys, scripts, wire

RENEWAL_SECONDS = 0.7
#: For how long beats may wait in Redis for others, with whom the web processes are then told of them.
TELL_AFTER_US = 5_000
CHANGES_AT_ONCE = 100  # Redis serves nobody else while a script runs.
_RENEW_DIGEST = hashlib.sha1(scripts.RENEW.encode(), usedforsecurity=False).hexdigest()


def renew(members: Sequence[str]) -> list[int]:
    """Give each member that is alive its full TTL again; answers the moments in µs, 0 for who is not.

    One round trip. Raises RedisUnavailable.
    """
    if not members:
        return []
    return _beats(len(members), connections.run(scripts.RENEW, [0, *members]))


def _beats(count: int, answer: list[Any]) -> list[int]:
    at_us, _, absent = answer
    beats = [int(at_us)] * count
    for position in absent:
        beats[position] = 0
    return beats


class Renewal:
    """The same from an event loop, over one connection of its own."""

    def __init__(self) -> None:
        self._wire = wire.Wire()
        self._telling: asyncio.Task[None] | None = None

    async def renew(self, members: Sequence[str]) -> list[int]:
        """Raises RedisUnavailable whatever goes wrong: somebody waits for an answer."""
        with connections.breaker.guard():
            try:
                async with asyncio.timeout(RENEWAL_SECONDS):
                    answer = await self._ask(TELL_AFTER_US, *members)
            except TimeoutError:
                self._wire.close()
                raise
        are_waiting = answer[1]
        if are_waiting and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_others())
        return _beats(len(members), answer)

    async def close(self) -> None:
        if self._telling is not None:
            await self._telling
        self._wire.close()

    async def _ask(self, *arguments: str | int) -> list[Any]:
        """Ask Redis; once more where it turns out that it left us meanwhile (to renew twice is no harm)."""
        if self._wire.is_open:
            with contextlib.suppress(redis_exceptions.ConnectionError):
                return await self._run(*arguments)
        self._wire = await wire.connect()
        return await self._run(*arguments)

    async def _run(self, *arguments: str | int) -> list[Any]:
        words = (len(keys.ALL), *keys.ALL, *arguments)
        try:
            answer = await self._wire.ask("EVALSHA", _RENEW_DIGEST, *words)
        except redis_exceptions.ResponseError as exc:
            if not str(exc).startswith("NOSCRIPT"):
                raise
            answer = await self._wire.ask("EVAL", scripts.RENEW, *words)
        return list(answer)

    async def _tell_others(self) -> None:
        """Let the other processes know of beats that no later one took along; a tick would, too."""
        try:
            await asyncio.sleep(2 * TELL_AFTER_US / 1_000_000)
            with contextlib.suppress(redis_exceptions.RedisError):
                await self._run(0)
        finally:
            self._telling = None


@dataclass(frozen=True, slots=True)
class Change:
    """A service's document, to be written where none newer is there, and its members' presence, moved.

    ``renewed``: (instance id, TTL in seconds) that just spoke; ``known``: (instance id, TTL, deadline in µs)
    to be taken where Redis knows nothing of them.
    """

    name: str
    _: KW_ONLY
    revision: int
    document: dict[str, Any] | None
    renewed: Iterable[tuple[str, int]] = ()
    dropped: Iterable[str] = ()
    known: Iterable[tuple[str, int, int]] = ()

    def arguments(self) -> list[Any]:
        """Return what the script takes."""
        name = self.name
        words: list[Any] = []
        for instance_id, ttl in self.renewed:
            words += [keys.member_of(name, instance_id), ttl * 1_000_000, "renew"]
        for instance_id in self.dropped:
            words += [keys.member_of(name, instance_id), 0, "drop"]
        for instance_id, ttl, deadline in self.known:
            words += [keys.member_of(name, instance_id), ttl * 1_000_000, deadline]
        document = orjson.dumps(self.document) if self.document else b""
        return [name, self.revision, document, len(words) // 3, *words]


def put(name: str, **change: Any) -> int:
    """Write one Change; returns its sequence number, 0 for none."""
    return put_all([Change(name, **change)])


def put_all(changes: Sequence[Change]) -> int:
    """Write many in one round trip; returns the last sequence number, 0 for none."""
    if not changes:
        return 0
    with connections.breaker.guard():
        pipeline = connections.connection().pipeline(transaction=False)
        script = connections.registered(scripts.PUT)
        for start in range(0, len(changes), CHANGES_AT_ONCE):
            some = changes[start : start + CHANGES_AT_ONCE]
            words = [word for change in some for word in change.arguments()]
            script(keys=keys.ALL, args=words, client=pipeline)
        return max(int(sequence) for sequence in pipeline.execute())
