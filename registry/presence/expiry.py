"""Overdue instances, suspects, and instances that are being expired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from registry.presence import keys, reading, scripts
from registry.presence.scripts import AWAY_SECONDS
from saga_project.shared import redis


@dataclass(frozen=True)
class Overdue:
    """The input of a sweep: ``due`` maps the overdue members to their deadline in µs, holds aside.

    ``is_expiring`` is whether PostgreSQL may not know yet what an earlier sweep took. ``floor_us`` is the
    grace floor, on this host's clock.
    """

    now_us: int
    total: int
    due: dict[str, int]
    holds: dict[str, int]
    is_anyone_receiving: bool
    is_expiring: bool = False
    floor_us: int = 0

    @property
    def is_quiet(self) -> bool:
        """Whether a sweep has nothing to do."""
        return not (self.due or self.holds or self.is_expiring)


def overdue() -> Overdue:
    """Return the members that are past their deadline."""
    with redis.breaker.guard():
        client = redis.connection()
        pipeline = client.pipeline(transaction=False)
        pipeline.time()
        pipeline.zrange(keys.DEADLINES, 0, 0, withscores=True)
        pipeline.zcard(keys.DEADLINES)
        pipeline.hgetall(keys.HOLDS)
        pipeline.hlen(keys.EXPIRING)
        pipeline.hmget(keys.META, "floor", "tick", "born")
        answers: list[Any] = pipeline.execute()
        (seconds, rest), first, total, holds, expiring, (floor, tick, filled_at) = answers
        now_us = seconds * 1_000_000 + rest
        scores: Any = []
        if first and first[0][1] <= now_us:
            scores = client.zrangebyscore(keys.DEADLINES, "-inf", now_us, withscores=True)
        late = [member for member, _ in scores]
        ttls = client.hmget(keys.TTLS, late) if late else []
    due = {
        member.decode(): max(int(score), int(floor or 0) + int(ttl or 0))
        for (member, score), ttl in zip(scores, ttls, strict=True)
    }
    return Overdue(
        now_us=now_us,
        total=total,
        due={member: deadline for member, deadline in due.items() if deadline <= now_us},
        holds=reading.numbers(holds),
        is_expiring=expiring > 0,
        floor_us=int(floor or 0) + reading.skew_us(now_us),
        is_anyone_receiving=filled_at is not None
        and tick is not None
        and now_us - int(tick) < AWAY_SECONDS * 1_000_000,
    )


def members() -> Iterator[str]:
    """Yield every member that has a deadline; one may come twice."""
    with redis.breaker.guard():
        client = redis.connection()
        for member, _ in client.zscan_iter(keys.DEADLINES, count=reading.PAGE):
            yield member.decode()


def take_overdue(members: Sequence[str]) -> list[str]:
    """Take the members that are (still) overdue out of presence; they wait in ``expiring``."""
    taken: list[str] = []
    for start in range(0, len(members), 1000):
        answer = scripts.run(scripts.TAKE_OVERDUE, members[start : start + 1000])
        taken.extend(member.decode() for member in answer)
    return taken


def expiring() -> dict[str, int]:
    """Return what sweeps took and PostgreSQL may not know yet.

    Maps members to their last heartbeat in µs, on this host's clock.
    """
    with redis.breaker.guard():
        pipeline = redis.connection().pipeline(transaction=False)
        pipeline.time()
        pipeline.hgetall(keys.EXPIRING)
        (seconds, rest), raw = pipeline.execute()
    skew_us = reading.skew_us(seconds * 1_000_000 + rest)
    return {member: heartbeat_us + skew_us for member, heartbeat_us in reading.numbers(raw).items()}


def forget_expiring(members: Sequence[str]) -> None:
    if members:
        with redis.breaker.guard():
            redis.connection().hdel(keys.EXPIRING, *members)


def hold(members: dict[str, int]) -> None:
    """Keep suspects listed until the given times (µs); 0 ends it."""
    pairs = [word for pair in members.items() for word in pair]
    for start in range(0, len(pairs), 1000):
        scripts.run(scripts.HOLD, pairs[start : start + 1000])
