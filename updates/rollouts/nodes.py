"""Which nodes have a worker that lives: it says so every other second, and is believed for half a minute.

A worker that lives may be busy: what waits for it waits on. Kept in Redis, where a silence ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from saga_project.shared import errors, redis

BELIEVED_SECONDS = 30
_QUEUE = "node."
_KEY = "saga:node:"


def queue_of(node: str) -> str:
    return f"{_QUEUE}{node}"


def note_life(queues: Iterable[str]) -> None:
    """Record a live worker and the queues that it consumes."""
    names = [queue.removeprefix(_QUEUE) for queue in queues if queue.startswith(_QUEUE)]
    try:
        with redis.breaker.guard():
            for name in names:
                redis.connection().set(f"{_KEY}{name}", 1, ex=BELIEVED_SECONDS)
    except errors.RedisUnavailable:
        return  # Redis is unavailable; the next heartbeat reports it.


def has_worker(node: str) -> bool:
    """False only where we know that no worker lives: without Redis none could have said so."""
    try:
        with redis.breaker.guard():
            return bool(redis.connection().exists(f"{_KEY}{node}"))
    except errors.RedisUnavailable:
        return True
