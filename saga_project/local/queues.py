"""Celery's queues: which there are, how long they may become, and whether they are consumed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from django.conf import settings

from saga_project.shared import errors, redis
from updates.rollouts import nodes

UPDATES, WEBHOOKS = "updates", "webhooks"
#: Tasks are only wake-ups for rows: what is dropped here is asked for again by a sweep.
MAX_WAITING = 1000
CONSUMERS_KEY = "saga:consumers"


def local() -> list[str]:
    """Return the queues that the workers of this host consume."""
    return [UPDATES, WEBHOOKS, nodes.queue_of(settings.SAGA_NODE_NAME)]


def bound(names: Iterable[str]) -> int:
    """Drop the oldest messages of queues that are too long; return how many were dropped.

    A queue without a consumer would otherwise fill Redis, since expired messages leave it only when consumed.
    """
    dropped = 0
    with redis.breaker.guard():
        for name in names:
            waiting = int(redis.connection().llen(name))
            if waiting > MAX_WAITING:
                redis.connection().ltrim(name, 0, MAX_WAITING - 1)
                dropped += waiting - MAX_WAITING
    return dropped


def note_consumer(names: Iterable[str]) -> None:
    """Record, by Redis' clock, that a worker lives that consumes these queues."""
    try:
        with redis.breaker.guard():
            now = _now()
            redis.connection().hset(CONSUMERS_KEY, mapping=dict.fromkeys(names, now))
    except errors.RedisUnavailable:
        return  # Without Redis there is no queue either; the next heartbeat of this worker records it.


def unconsumed_seconds() -> dict[str, float]:
    """Return for each local queue how long no worker consumed it; infinite where none ever did.

    A node's queue needs no worker as long as nothing waits in it.
    """
    node = nodes.queue_of(settings.SAGA_NODE_NAME)
    with redis.breaker.guard():
        now = _now()
        seen = _numbers(redis.connection().hgetall(CONSUMERS_KEY))
        is_node_needed = bool(redis.connection().llen(node))
    needed = [UPDATES, WEBHOOKS, *([node] if is_node_needed else [])]
    return {name: max(0.0, now - seen.get(name, -math.inf)) for name in needed}


def _now() -> float:
    seconds, microseconds = redis.connection().time()
    return float(seconds) + microseconds / 1_000_000


def _numbers(answer: Any) -> dict[str, float]:
    return {name.decode(): float(at) for name, at in answer.items()}
