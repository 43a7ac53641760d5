"""Heartbeats, and what a change of a service does to its members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import orjson
from django.conf import settings
from redis import exceptions as redis_exceptions
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from registry.presence import connections, keys, scripts
from saga_project import errors

RENEWAL_TIMEOUT_SECONDS = 0.7


def renew(members: Sequence[str]) -> list[int]:
    """Give each member that is alive its full TTL again; answers deadlines in µs, 0 for who is not.

    One round trip. Raises RedisUnavailable.
    """
    return (
        [int(deadline) for deadline in connections.run(scripts.RENEW, members)] if members else []
    )


class AsyncRenewal:
    """The same from an event loop, over one connection of its own."""

    def __init__(self) -> None:
        self._client = AsyncRedis.from_url(
            settings.REDIS_URL,
            socket_timeout=RENEWAL_TIMEOUT_SECONDS,
            socket_connect_timeout=RENEWAL_TIMEOUT_SECONDS,
            protocol=2,
            retry=AsyncRetry(NoBackoff(), 0),  # who asks has waited long enough
            single_connection_client=True,
        )
        self._script = self._client.register_script(scripts.RENEW)

    async def renew(self, members: Sequence[str]) -> list[int]:
        """Raises RedisUnavailable whatever goes wrong: somebody waits for an answer."""
        try:
            with connections.breaker.guard():
                answer = await self._script(keys=keys.ALL, args=members)
        except redis_exceptions.RedisError as exc:
            raise errors.RedisUnavailable("Redis is not available. Try again in a moment.") from exc
        return [int(deadline) for deadline in answer]

    async def close(self) -> None:
        await self._client.aclose()


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
        document = orjson.dumps(self.document) if self.document else b""
        words: list[Any] = [name, self.revision, document]
        for instance_id, ttl in self.renewed:
            words += [keys.member_of(name, instance_id), ttl * 1_000_000, "renew"]
        for instance_id in self.dropped:
            words += [keys.member_of(name, instance_id), 0, "drop"]
        for instance_id, ttl, deadline in self.known:
            words += [keys.member_of(name, instance_id), ttl * 1_000_000, deadline]
        return words


def put(name: str, **change: Any) -> int:
    """Write one Change; returns its sequence number, 0 for none."""
    return int(connections.run(scripts.PUT, Change(name, **change).arguments()))


def put_all(changes: Sequence[Change]) -> int:
    """Write many in one round trip; returns the last sequence number."""
    if not changes:
        return 0
    with connections.breaker.guard():
        pipeline = connections.connection().pipeline(transaction=False)
        for change in changes:
            connections.registered(scripts.PUT)(
                keys=keys.ALL, args=change.arguments(), client=pipeline
            )
        return max(int(sequence) for sequence in pipeline.execute())
