"""The in-process read cache: a replica of presence, so that lookups need no round trip.

A process that runs ``follow`` follows Redis' change channel: it subscribes, takes a snapshot, and applies
each change in the order of its sequence number. A gap, or a channel that stays silent for longer than
``LEASE_SECONDS``, ends serving from memory until it is whole again. Elsewhere (workers, commands), and while
it is not whole, reads go to Redis.
"""

from __future__ import annotations

from registry.directory.entries import InstanceEntry, ServiceEntry, entry_of
from registry.directory.following import follow
from registry.directory.memory import (
    is_whole,
    note_version,
    now_us,
    peek,
    peek_all,
    size,
    version,
    wait_for,
)
from registry.directory.reading import (
    Counters,
    all_services,
    all_stale,
    cache_counters,
    find,
    get,
    stale,
    stale_for,
)
from registry.directory.selection import ANY, Criteria, chosen, newest, pick, serving

__all__ = [
    "ANY",
    "Counters",
    "Criteria",
    "InstanceEntry",
    "ServiceEntry",
    "all_services",
    "all_stale",
    "cache_counters",
    "chosen",
    "entry_of",
    "find",
    "follow",
    "get",
    "is_whole",
    "newest",
    "note_version",
    "now_us",
    "peek",
    "peek_all",
    "pick",
    "serving",
    "size",
    "stale",
    "stale_for",
    "version",
    "wait_for",
]
