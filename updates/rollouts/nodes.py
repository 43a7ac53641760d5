"""Which nodes have a worker that lives: it says so every few seconds, and is believed for half a minute.

A worker that lives may be busy: what waits for it waits on. Kept in Redis, where a silence ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from saga_project.shared import errors, machines, redis

BELIEVED_SECONDS = 30
_QUEUE = "node."
_KEY = "saga:node:"


def queue_of(node: str) -> str:
    """Return the queue of the workers of a node."""
    return f"{_QUEUE}{node}"


def claim(queues: Iterable[str]) -> str:
    """Claim the nodes of these queues for this machine; return why not, or nothing.

    Two hosts of one name would install on each other's behalf, each on its own disk. Several workers of one
    machine may share a node. Without Redis nothing is refused.
    """
    mine = machines.name()
    try:
        with redis.breaker.guard():
            for name in _nodes_of(queues):
                key = f"{_KEY}{name}"
                if redis.connection().set(key, mine, nx=True, ex=BELIEVED_SECONDS):
                    continue
                found = redis.connection().get(key)
                other = found.decode() if isinstance(found, bytes) else ""
                if "-" in other and other != mine:
                    return (
                        f"SAGA_NODE_NAME: the host {machines.host_of(other)} works as node {name!r} already;"
                        " give this host another name."
                    )
    except errors.RedisUnavailable:
        pass
    return ""


def note_life(queues: Iterable[str]) -> None:
    """Record a live worker and the queues that it consumes."""
    try:
        with redis.breaker.guard():
            for name in _nodes_of(queues):
                redis.connection().set(f"{_KEY}{name}", machines.name(), ex=BELIEVED_SECONDS)
    except errors.RedisUnavailable:
        return  # Redis is unavailable; the next heartbeat reports it.


def note_agent(node: str) -> None:
    """Record that the agent of a node lives."""
    try:
        with redis.breaker.guard():
            redis.connection().set(f"{_KEY}{node}", f"agent-of-{node}", ex=BELIEVED_SECONDS)
    except errors.RedisUnavailable:
        return  # Its next poll reports it.


def forget_agent(node: str) -> None:
    """Record that the agent of a node may not work any more."""
    try:
        with redis.breaker.guard():
            redis.connection().delete(f"{_KEY}{node}")
    except errors.RedisUnavailable:
        return  # It is believed for half a minute; it gets no order.


def _nodes_of(queues: Iterable[str]) -> list[str]:
    return [queue.removeprefix(_QUEUE) for queue in queues if queue.startswith(_QUEUE)]


def has_worker(node: str) -> bool:
    """False only where we know that no worker lives: without Redis none could have said so."""
    try:
        with redis.breaker.guard():
            return bool(redis.connection().exists(f"{_KEY}{node}"))
    except errors.RedisUnavailable:
        return True
