"""Who is there, as Redis knows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from registry import moments
from registry.presence import connections, keys
from saga_project import errors


@dataclass(frozen=True)
class Found:
    """A service as Redis holds it: its document, and for each instance deadline and hold, in µs."""

    document: dict[str, Any]
    scores: dict[str, int]
    holds: dict[str, int]
    floor_us: int


def read(name: str) -> Found | None:
    """Return a service from Redis, in two round trips; raises RedisUnavailable."""
    with connections.breaker.guard():
        client = connections.connection()
        pipeline = client.pipeline(transaction=False)
        pipeline.hget(keys.SERVICES, name)
        pipeline.hmget(keys.META, "floor", "born")
        raw, (floor_us, born) = pipeline.execute()
        if born is None:
            raise errors.RedisUnavailable("Redis lost its data and is being refilled.")
        if raw is None:
            return None
        document: dict[str, Any] = orjson.loads(raw)
        scores, holds = _lives_of(client, document)
    return Found(document=document, scores=scores, holds=holds, floor_us=int(floor_us or 0))


def _lives_of(client: Redis, document: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    instance_ids = [instance["instance_id"] for instance in document["instances"]]
    if not instance_ids:
        return {}, {}
    members = [keys.member_of(document["name"], instance_id) for instance_id in instance_ids]
    pipeline = client.pipeline(transaction=False)
    pipeline.zmscore(keys.DEADLINES, members)
    pipeline.hmget(keys.HOLDS, members)
    scores, holds = pipeline.execute()
    return _known_of(instance_ids, scores), _known_of(instance_ids, holds)


def _known_of(instance_ids: list[str], numbers: list[Any]) -> dict[str, int]:
    pairs = zip(instance_ids, numbers, strict=True)
    return {instance_id: int(number) for instance_id, number in pairs if number is not None}


def snapshot() -> tuple[Iterator[bytes], dict[str, int], dict[str, int], int]:
    """Return all documents (read as they are taken), deadlines, holds and the floor.

    Raises RedisUnavailable, also while documents are taken; one may come twice. Changes that happen
    meanwhile may be in it or not: a follower applies them (again) from the channel.
    """
    with connections.breaker.guard():
        client = connections.connection()
        floor_us, born = client.hmget(keys.META, "floor", "born")
        if born is None:
            raise errors.RedisUnavailable("Redis lost its data and is being refilled.")
        scores = {
            member.decode(): int(score)
            for member, score in client.zscan_iter(keys.DEADLINES, count=1000)
        }
        holds = numbers(client.hgetall(keys.HOLDS))
    return _documents(client), scores, holds, int(floor_us or 0)


def _documents(client: Redis) -> Iterator[bytes]:
    with connections.breaker.guard():
        for _, raw in client.hscan_iter(keys.SERVICES, count=1000):
            yield raw


def numbers(raw: Mapping[Any, Any]) -> dict[str, int]:
    return {member.decode(): int(number) for member, number in raw.items()}


def sequence() -> int:
    """Return the number of the last change."""
    with connections.breaker.guard():
        return int(connections.connection().hget(keys.META, "seq") or 0)


def last_heartbeat(service_name: str, instance_id: str) -> dt.datetime | None:
    """Return when a live instance was last heard of; None for one that is not there."""
    member = keys.member_of(service_name, instance_id)
    with connections.breaker.guard():
        pipeline = connections.connection().pipeline(transaction=False)
        pipeline.zscore(keys.DEADLINES, member)
        pipeline.hget(keys.TTLS, member)
        score, ttl = pipeline.execute()
    return None if score is None or ttl is None else moments.at(int(score) - int(ttl))


def heartbeats(*, since_us: int = 0) -> tuple[dict[str, int], int]:
    """Return the last heartbeat in µs of every member that was heard since then, and Redis' time in µs."""
    with connections.breaker.guard():
        pipeline = connections.connection().pipeline(transaction=False)
        pipeline.time()  # first: what is heard after it is later than it
        pipeline.zrange(keys.DEADLINES, 0, -1, withscores=True)
        pipeline.hgetall(keys.TTLS)
        (seconds, rest), scores, ttls = pipeline.execute()
    beats = {
        member.decode(): beat_us
        for member, score in scores
        if member in ttls and (beat_us := int(score) - int(ttls[member])) >= since_us
    }
    return beats, seconds * 1_000_000 + rest


def revisions(names: Sequence[str]) -> list[int]:
    """Return the revision of each service that was written last, 0 where none ever was."""
    found: list[int] = []
    for start in range(0, len(names), 1000):
        with connections.breaker.guard():
            some = connections.connection().hmget(keys.REVISIONS, names[start : start + 1000])
        found += [int(number or 0) for number in some]
    return found
