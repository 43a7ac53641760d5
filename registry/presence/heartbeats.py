"""Heartbeats, and what a change of a service does to its members."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from redis import exceptions as redis_exceptions

from registry.presence import keys, scripts, wire
from saga_project.shared import errors, redis, strict_json

logger = logging.getLogger(__name__)

RENEWAL_SECONDS = 0.7
#: For how long heartbeats may wait in Redis, so that many are published in one message.
PUBLISH_AFTER_US = 5_000
CHANGES_AT_ONCE = 100  # Redis serves no other client while a script runs.
_DIGEST = hashlib.sha1(scripts.RENEW.encode(), usedforsecurity=False).hexdigest()
_BY_DIGEST = ("EVALSHA", _DIGEST)
_KEYS = (len(keys.ALL), *keys.ALL)

#: Called with the times in µs (0 for a missing member), or with the error.
Callback = Callable[[list[int] | errors.Unavailable], None]


def renew(members: Sequence[str]) -> list[int]:
    """Renew the TTL of each live member; answers the times in µs, 0 for a missing member.

    One round trip. Raises RedisUnavailable.
    """
    if not members:
        return []
    return _heartbeats(len(members), scripts.run(scripts.RENEW, [0, *members]))


def _heartbeats(count: int, answer: list[Any]) -> list[int]:
    at_us, _, absent = answer
    times = [int(at_us)] * count
    for position in absent:
        times[position] = 0
    return times


class Renewal:
    """The same from an event loop, over one connection of its own, one call at a time."""

    def __init__(self) -> None:
        self._wire = wire.RedisProtocol()
        self._reaching: asyncio.Task[None] | None = None
        self._publisher: asyncio.TimerHandle | None = None

    def renew(self, members: Sequence[str], callback: Callback) -> None:
        """Renew the members; ``callback`` gets the times, or RedisUnavailable for any failure."""
        call = _Call(members, callback)
        if redis.breaker.is_open:
            call.end(redis.refusal())
            return
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(RENEWAL_SECONDS, self._give_up, call)
        if self._wire.is_open:
            self._send(call)
        else:
            self._reaching = loop.create_task(self._reach(call))

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.cancel()
        self._wire.close()

    async def _reach(self, call: _Call) -> None:
        try:
            self._wire = await wire.connect()
            self._send(call)
        except (redis_exceptions.RedisError, OSError) as exc:
            self._fail(call, exc)

    def _send(self, call: _Call, *command: str) -> None:
        words = command or _BY_DIGEST
        answered = functools.partial(self._take, call)
        self._wire.call(answered, *words, *_KEYS, PUBLISH_AFTER_US, *call.members)

    def _take(self, call: _Call, answer: Any) -> None:
        if call.is_over:
            return
        if isinstance(answer, redis_exceptions.ReadOnlyError):
            self._wire.close()  # a failover made it a replica: ask again for the master
        is_lost = isinstance(
            answer, redis_exceptions.ConnectionError | redis_exceptions.ReadOnlyError
        )
        if is_lost and not call.is_second:
            # The connection was lost since the last call; renewing twice does no harm.
            call.is_second = True
            self._reaching = asyncio.get_running_loop().create_task(self._reach(call))
        elif isinstance(answer, Exception):
            if str(answer).startswith("NOSCRIPT"):
                self._send(call, "EVAL", scripts.RENEW)
            else:
                self._fail(call, answer)
        else:
            redis.breaker.close()
            are_waiting = answer[1]
            if are_waiting and self._publisher is None:
                loop = asyncio.get_running_loop()
                self._publisher = loop.call_later(
                    2 * PUBLISH_AFTER_US / 1_000_000, self._publish_change
                )
            call.end(_heartbeats(len(call.members), answer))

    def _give_up(self, call: _Call) -> None:
        self._fail(call, TimeoutError())
        self._wire.close()

    def _fail(self, call: _Call, reason: Exception) -> None:
        """Count the failure in the breaker, and end the call with its error."""
        try:
            with redis.breaker.guard():
                raise reason
        except errors.Unavailable as exc:
            call.end(exc)
        except redis_exceptions.RedisError:
            logger.exception("heartbeats failed")
            call.end(redis.refusal())

    def _publish_change(self) -> None:
        """Publish heartbeats that no later one carried along; a tick would do so, too."""
        self._publisher = None
        if self._wire.is_open:
            self._wire.call(_ignore, *_BY_DIGEST, *_KEYS, 0)


def _ignore(_answer: Any) -> None:
    """Take an answer that says nothing new."""


class _Call:
    """One call of the script, until its callback has the result."""

    def __init__(self, members: Sequence[str], callback: Callback) -> None:
        self.members = members
        self.is_second = False
        self.timer: asyncio.TimerHandle | None = None
        self._callback: Callback | None = callback

    @property
    def is_over(self) -> bool:
        return self._callback is None

    def end(self, times: list[int] | errors.Unavailable) -> None:
        if self.timer is not None:
            self.timer.cancel()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(times)


@dataclass(frozen=True, slots=True)
class Change:
    """A service's document, to be written where none newer is there, and its members' presence, moved.

    ``renewed``: (instance id, TTL in seconds) that just sent a heartbeat; ``known``: (instance id, TTL,
    deadline in µs on this host's clock) to be taken where Redis does not have them.
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
        now_us = time.time_ns() // 1000
        for instance_id, ttl, deadline in self.known:
            words += [keys.member_of(name, instance_id), ttl * 1_000_000, deadline - now_us]
        document = strict_json.dumps(self.document) if self.document else b""
        return [name, self.revision, document, len(words) // 3, *words]


def put(name: str, **change: Any) -> int:
    """Write one Change; returns its sequence number, 0 for none."""
    return put_all([Change(name, **change)])


def put_all(changes: Sequence[Change]) -> int:
    """Write many, some at a time; returns the last sequence number, 0 for none."""
    sequence = 0
    for start in range(0, len(changes), CHANGES_AT_ONCE):
        some = changes[start : start + CHANGES_AT_ONCE]
        words = [word for change in some for word in change.arguments()]
        sequence = max(sequence, int(scripts.run(scripts.PUT, words)))
    return sequence
