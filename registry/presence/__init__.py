"""Live instances in Redis; the only package that knows their keys.

    saga:services    hash   service → JSON document (the service with its live instances)
    saga:revisions   hash   service → revision of the newest document ever written
    saga:deadlines   zset   "service/instance" → deadline in µs of Redis' clock
    saga:ttls        hash   "service/instance" → TTL in µs
    saga:holds       hash   suspects: "service/instance" → kept until, in µs
    saga:expiring    hash   taken by a sweep, not yet in PostgreSQL → their last deadline
    saga:meta        hash   seq, floor, tick, born (filled at), told (published at), run_id
    saga:beats       string heartbeats not published yet: time, members, time, …

Every script that changes something takes the next ``seq`` and publishes the change with it, so that a
web process can hold a replica (``directory``) and notice a gap. The last heartbeat is the deadline minus
the TTL. ``floor`` is the grace floor: no member expires before it + TTL. It advances where no
heartbeat could arrive.
All times are on Redis' clock; where it is set back, they move with it (``scripts``).
"""

from __future__ import annotations

from registry.presence.expiry import (
    Overdue,
    expiring,
    forget_expiring,
    hold,
    members,
    overdue,
    take_overdue,
)
from registry.presence.heartbeats import Callback, Change, Renewal, put, put_all, renew
from registry.presence.keys import (
    CHANGES_CHANNEL,
    DEADLINES,
    EXPIRING,
    HOLDS,
    META,
    REVISIONS,
    SERVICES,
    TTLS,
    WAKEUP_CHANNEL,
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
    skew_us,
    snapshot,
)
from registry.presence.refill import (
    Tick,
    ensure_filled,
    floor,
    forget_everything,
    is_cluster,
    mark_filled,
    run_id,
    tick,
    wake_readers,
)
from registry.presence.scripts import AWAY_SECONDS
from registry.presence.wire import RedisProtocol, connect, server_url

__all__ = [
    "AWAY_SECONDS",
    "CHANGES_CHANNEL",
    "DEADLINES",
    "EXPIRING",
    "HOLDS",
    "META",
    "REVISIONS",
    "SERVICES",
    "TTLS",
    "WAKEUP_CHANNEL",
    "Callback",
    "Change",
    "Overdue",
    "RedisProtocol",
    "Renewal",
    "ScanResult",
    "Tick",
    "connect",
    "ensure_filled",
    "expiring",
    "floor",
    "forget_everything",
    "forget_expiring",
    "heartbeats",
    "hold",
    "is_cluster",
    "last_heartbeat",
    "mark_filled",
    "member_of",
    "members",
    "overdue",
    "put",
    "put_all",
    "read",
    "renew",
    "revisions",
    "run_id",
    "sequence",
    "server_url",
    "skew_us",
    "snapshot",
    "split_member",
    "take_overdue",
    "tick",
    "wake_readers",
]
