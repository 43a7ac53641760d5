"""Reads live instances from Redis."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from registry.presence import keys
from registry.presence.scripts import AWAY_SECONDS
from saga_project.shared import errors, redis, timestamps

PAGE = 1000
#: Redis' clock counts as ours while they differ by less.
SAME_CLOCK_US = 2_000_000


@dataclass(frozen=True)
class ScanResult:
    """A service as Redis holds it: its document, and for each instance deadline and hold, in µs.

    ``now_us`` is the time on Redis' clock.
    """

    document: dict[str, Any]
    scores: dict[str, int]
    holds: dict[str, int]
    floor_us: int
    now_us: int


def read(name: str) -> ScanResult | None:
    """Return a service from Redis, in two round trips; raises RedisUnavailable."""
    with redis.breaker.guard():
        client = redis.connection()
        pipeline = client.pipeline(transaction=False)
        pipeline.hget(keys.SERVICES, name)
        _ask_grace_floor(pipeline)
        raw, meta, clock = pipeline.execute()
        floor_us, filled_at, now_us = _grace_floor_of(meta, clock)
        if filled_at is None:
            raise errors.RedisUnavailable("Redis lost its data and is being refilled.")
        if raw is None:
            return None
        document: dict[str, Any] = orjson.loads(raw)
        scores, holds = _lives_of(client, document)
    return ScanResult(
        document=document, scores=scores, holds=holds, floor_us=floor_us, now_us=now_us
    )


def _ask_grace_floor(pipeline: Any) -> None:
    pipeline.hmget(keys.META, "floor", "born", "tick")
    pipeline.time()


def _grace_floor_of(meta: list[Any], clock: tuple[int, int]) -> tuple[int, bytes | None, int]:
    """Return the grace floor as the scripts compute it, when Redis was filled, and its time in µs."""
    floor, filled_at, tick = meta
    now_us = clock[0] * 1_000_000 + clock[1]
    is_away = tick is not None and now_us - int(tick) > AWAY_SECONDS * 1_000_000
    return max(int(floor or 0), now_us if is_away else 0), filled_at, now_us


def skew_us(redis_now_us: int) -> int:
    """Return what to add to a time on Redis' clock; 0 where both clocks are the same but for a moment."""
    skew = time.time_ns() // 1000 - redis_now_us
    return skew if abs(skew) > SAME_CLOCK_US else 0


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
    with redis.breaker.guard():
        client = redis.connection()
        pipeline = client.pipeline(transaction=False)
        _ask_grace_floor(pipeline)
        floor_us, filled_at, _ = _grace_floor_of(*pipeline.execute())
        if filled_at is None:
            raise errors.RedisUnavailable("Redis lost its data and is being refilled.")
        scores = {
            member.decode(): int(score)
            for member, score in client.zscan_iter(keys.DEADLINES, count=PAGE)
        }
        holds = numbers(client.hgetall(keys.HOLDS))
    return _documents(client), scores, holds, floor_us


def _documents(client: Redis) -> Iterator[bytes]:
    with redis.breaker.guard():
        for _, raw in client.hscan_iter(keys.SERVICES, count=PAGE):
            yield raw


def numbers(raw: Mapping[Any, Any]) -> dict[str, int]:
    return {member.decode(): int(number) for member, number in raw.items()}


def sequence() -> int:
    """Return the number of the last change."""
    with redis.breaker.guard():
        return int(redis.connection().hget(keys.META, "seq") or 0)


def last_heartbeat(service_name: str, instance_id: str) -> dt.datetime | None:
    """Return the time of a live instance's last heartbeat; None for one that is not live."""
    member = keys.member_of(service_name, instance_id)
    with redis.breaker.guard():
        pipeline = redis.connection().pipeline(transaction=False)
        pipeline.zscore(keys.DEADLINES, member)
        pipeline.hget(keys.TTLS, member)
        score, ttl = pipeline.execute()
    return None if score is None or ttl is None else timestamps.at(int(score) - int(ttl))


def heartbeats(*, since_us: int = 0) -> tuple[dict[str, int], int]:
    """Return the last heartbeat in µs of every member that sent one since then, and Redis' time in µs.

    Page by page, since Redis serves no other client while it builds an answer. A member that is renewed
    meanwhile moves ahead and is read again there.
    """
    times: dict[str, int] = {}
    with redis.breaker.guard():
        client: Any = redis.connection()
        seconds, rest = client.time()
        now_us = seconds * 1_000_000 + rest
        for scores in _pages(client):
            ttls = client.hmget(keys.TTLS, [member for member, _ in scores])
            for (member, score), ttl in zip(scores, ttls, strict=True):
                # Not later than now: a member may have got a shorter TTL since the first answer.
                heartbeat_us = min(int(score) - int(ttl), now_us) if ttl is not None else -1
                if heartbeat_us >= since_us:
                    times[member.decode()] = heartbeat_us
    return times, now_us


def _pages(client: Any) -> Iterator[list[tuple[bytes, float]]]:
    """Yield all members with their deadlines, in that order; one may come twice."""
    least = 0
    while True:
        page = client.zrangebyscore(keys.DEADLINES, least, "+inf", 0, PAGE, withscores=True)
        if len(page) < PAGE:
            break
        last = int(page[-1][1])
        # Members renewed together share a deadline: a page ends after all of them.
        yield page + client.zrangebyscore(keys.DEADLINES, last, last, withscores=True)
        least = last + 1
    if page:
        yield page


def revisions(names: Sequence[str]) -> list[int]:
    """Return the revision of each service that was written last, 0 where none ever was."""
    found: list[int] = []
    for start in range(0, len(names), PAGE):
        with redis.breaker.guard():
            some = redis.connection().hmget(keys.REVISIONS, names[start : start + PAGE])
        found += [int(number or 0) for number in some]
    return found
