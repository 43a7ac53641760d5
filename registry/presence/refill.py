"""Ticks, refills and wake-ups: how presence is loaded and kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import exceptions as redis_exceptions

from registry.presence import keys, scripts
from saga_project.shared import errors, redis

logger = logging.getLogger(__name__)

_REFILLING = "saga:refilling"
#: A process that refills Redis is believed to be alive for so long.
REFILL_SECONDS = 30


@dataclass(frozen=True)
class Tick:
    """``filled_us``: when a process last filled Redis; 0 if it is empty."""

    now_us: int
    filled_us: int
    run_id: str

    @property
    def is_filled(self) -> bool:
        return self.filled_us != 0


def tick() -> Tick:
    """Record that heartbeats can be received now; a gap moves the floor for all instances."""
    now_us, filled_at, run_id = scripts.run(scripts.TICK, [])
    return Tick(now_us=int(now_us), filled_us=int(filled_at or 0), run_id=run_id.decode())


def mark_filled() -> None:
    """Mark Redis as filled; every instance gets one full TTL from now."""
    scripts.run(scripts.MARK_FILLED, [run_id()])


def is_cluster() -> bool:
    with redis.breaker.guard():
        return bool(redis.connection().info("cluster").get("cluster_enabled"))


def forget_everything() -> None:
    """Empty presence, as after a loss of Redis: web processes fill it again from PostgreSQL."""
    with redis.breaker.guard():
        redis.connection().delete(*keys.ALL)


def run_id() -> str:
    """Return the identity of the Redis process: another one may have lost its last second."""
    with redis.breaker.guard():
        return str(redis.connection().info("server")["run_id"])


def ensure_filled(refill: Callable[[], int]) -> None:
    """Call ``refill`` where Redis is empty, or another process than the one that was filled last.

    One caller at a time; the others find it filled, or try again.
    """
    state = tick()
    if state.is_filled and state.run_id == run_id():
        return
    with _refilling() as is_mine:
        if not is_mine:
            raise errors.RedisUnavailable("Redis is being refilled.")
        count = refill()
        mark_filled()
        level = (
            logging.WARNING if count else logging.INFO
        )  # of a first start there is nothing to say
        logger.log(level, "presence refilled", extra={"services": count})


@contextmanager
def _refilling() -> Iterator[bool]:
    """Acquire the refill lock; yields whether this process holds it.

    A lock that its owner, dead by now, took under a clock that was ahead ends after the usual time as well.
    """
    with redis.breaker.guard():
        client = redis.connection()
        lock = client.lock(_REFILLING, timeout=REFILL_SECONDS, blocking=False)
        is_mine = lock.acquire()
        if not is_mine:
            client.expire(_REFILLING, REFILL_SECONDS, lt=True)
    try:
        yield is_mine
    finally:
        if is_mine:
            try:
                lock.release()
            except redis_exceptions.RedisError:
                logger.warning("refill lock was lost")


def floor() -> tuple[int, int]:
    """Return the floor and Redis' time, in µs."""
    with redis.breaker.guard():
        client = redis.connection()
        seconds, rest = client.time()
        return int(client.hget(keys.META, "floor") or 0), seconds * 1_000_000 + rest


def wake_readers() -> None:
    """Wake readers that wait for events; one that misses it polls a second later."""
    try:
        with redis.breaker.guard():
            redis.connection().publish(keys.WAKEUP_CHANNEL, b"1")
    except errors.RedisUnavailable:
        logger.debug("wake-up not sent")
