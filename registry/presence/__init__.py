"""Live instances in Redis; the only package that knows their keys.

    saga:services    hash   service → JSON document (the service with its live instances)
    saga:revisions   hash   service → revision of the newest document ever written
    saga:deadlines   zset   "service/instance" → deadline in µs of Redis' clock
    saga:ttls        hash   "service/instance" → TTL in µs
    saga:holds       hash   suspects: "service/instance" → kept until, in µs
    saga:expiring    hash   taken by a sweep, not yet in PostgreSQL → their last deadline
    saga:meta        hash   seq, floor, tick, born, told, run_id
    saga:beats       string beats that the web processes are to be told of: moment, members, moment, …

Every script that changes something takes the next ``seq`` and publishes the change with it, so that a
web process can hold a replica (``directory``) and notice a gap. The last heartbeat is the deadline minus
the TTL; no instance expires before ``floor`` + TTL, which adds time in which no heartbeat could arrive.
"""

from __future__ import annotations

from registry.presence.connections import breaker, connection
from registry.presence.expiry import (
    AWAY_SECONDS,
    Overdue,
    expiring,
    forget_expiring,
    hold,
    overdue,
    take_overdue,
)
from registry.presence.heartbeats import Change, Renewal, Told, put, put_all, renew
from registry.presence.keys import (
    CHANGES_CHANNEL,
    DEADLINES,
    DOORBELL_CHANNEL,
    EXPIRING,
    HOLDS,
    META,
    REVISIONS,
    SERVICES,
    TTLS,
    member_of,
    split_member,
)
from registry.presence.reading import (
    ScanResult,
    heartbeats,
    last_heartbeat,
    read,
    revisions,
    sequence,
    snapshot,
)
from registry.presence.refill import Tick, bear, ensure_filled, floor, ring_doorbell, run_id, tick
from registry.presence.wire import Wire, connect

__all__ = [
    "AWAY_SECONDS",
    "CHANGES_CHANNEL",
    "DEADLINES",
    "DOORBELL_CHANNEL",
    "EXPIRING",
    "HOLDS",
    "META",
    "REVISIONS",
    "SERVICES",
    "TTLS",
    "Change",
    "Overdue",
    "Renewal",
    "ScanResult",
    "Tick",
    "Told",
    "Wire",
    "bear",
    "breaker",
    "connect",
    "connection",
    "ensure_filled",
    "expiring",
    "floor",
    "forget_expiring",
    "heartbeats",
    "hold",
    "last_heartbeat",
    "member_of",
    "overdue",
    "put",
    "put_all",
    "read",
    "renew",
    "revisions",
    "ring_doorbell",
    "run_id",
    "sequence",
    "snapshot",
    "split_member",
    "take_overdue",
    "tick",
]
