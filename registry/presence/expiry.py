"""Overdue instances, suspects, and instances that are being expired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.presence import connections, keys, reading, scripts

AWAY_SECONDS = 3.0  # Without a tick for this long, no heartbeat could arrive.


@dataclass(frozen=True)
class Overdue:
    """The input of a sweep: ``due`` maps members to their effective deadline in µs."""

    now_us: int
    total: int
    due: dict[str, int]
    holds: dict[str, int]
    is_anyone_receiving: bool


def overdue(*, within_seconds: float) -> Overdue:
    """Return the members past their deadline, or past it within the given time."""
    with connections.breaker.guard():
        client = connections.connection()
        seconds, rest = client.time()
        now_us = seconds * 1_000_000 + rest
        horizon = now_us + int(within_seconds * 1_000_000)
        pipeline = client.pipeline(transaction=False)
        pipeline.zrangebyscore(keys.DEADLINES, "-inf", horizon, withscores=True)
        pipeline.zcard(keys.DEADLINES)
        pipeline.hgetall(keys.HOLDS)
        pipeline.hmget(keys.META, "floor", "tick", "born")
        scores, total, holds, (floor, tick, born) = pipeline.execute()
        members = [member for member, _ in scores]
        ttls = client.hmget(keys.TTLS, members) if members else []
    due = {
        member.decode(): max(int(score), int(floor or 0) + int(ttl or 0))
        for (member, score), ttl in zip(scores, ttls, strict=True)
    }
    return Overdue(
        now_us=now_us,
        total=total,
        due={member: deadline for member, deadline in due.items() if deadline <= horizon},
        holds=reading.numbers(holds),
        is_anyone_receiving=born is not None
        and tick is not None
        and now_us - int(tick) < AWAY_SECONDS * 1_000_000,
    )


def take_overdue(members: Sequence[str]) -> list[str]:
    """Take the members that are (still) overdue out of presence; they wait in ``expiring``."""
    taken: list[str] = []
    for start in range(0, len(members), 1000):
        answer = connections.run(scripts.TAKE_OVERDUE, members[start : start + 1000])
        taken.extend(member.decode() for member in answer)
    return taken


def expiring() -> dict[str, int]:
    """Return what sweeps took and PostgreSQL may not know yet: member → last heartbeat in µs."""
    with connections.breaker.guard():
        return reading.numbers(connections.connection().hgetall(keys.EXPIRING))


def forget_expiring(members: Sequence[str]) -> None:
    if members:
        with connections.breaker.guard():
            connections.connection().hdel(keys.EXPIRING, *members)


def hold(members: dict[str, int]) -> None:
    """Keep suspects listed until the given times (µs); 0 ends it."""
    pairs = [word for pair in members.items() for word in pair]
    for start in range(0, len(pairs), 1000):
        connections.run(scripts.HOLD, pairs[start : start + 1000])
