"""Leases on kinds of work: rows with an expiry, so that a host without power holds nothing for long.

A session advisory lock lives as long as PostgreSQL believes in its connection, which after a power loss may
be two hours. All times are PostgreSQL's.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass

from django.db import connection

from registry.models import WorkSlot

SWEEPS = "sweeps"
DELIVERIES = "deliveries"
BEAT = "beat"
HEALTH = "health"


@dataclass(frozen=True)
class Slot:
    """One acquired slot."""

    work: str
    place: int
    token: uuid.UUID


def acquire(work: str, *, seconds: float, places: int = 1) -> Slot | None:
    """Return the first free slot of this work, or None where all of them are held."""
    token, holder = uuid.uuid4(), f"{socket.gethostname()}/{os.getpid()}"
    for place in range(places):
        with connection.cursor() as cursor:
            cursor.execute(_ACQUIRE, [work, place, holder, token, seconds])
            if cursor.fetchone():
                return Slot(work, place, token)
    return None


# Only an expired row is taken over, so that two callers never get the same slot.
_ACQUIRE = """
INSERT INTO registry_workslot AS slot (work, place, holder, token, expires_at)
VALUES (%s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (work, place) DO UPDATE
   SET holder = excluded.holder, token = excluded.token, expires_at = excluded.expires_at
 WHERE slot.expires_at < clock_timestamp()
RETURNING place
"""


def renew(slot: Slot, *, seconds: float) -> bool:
    """Extend the slot; False says that it was lost to another process."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [seconds, slot.work, slot.place, slot.token])
        return bool(cursor.rowcount == 1)


_RENEW = """
UPDATE registry_workslot SET expires_at = clock_timestamp() + %s * interval '1 second'
 WHERE work = %s AND place = %s AND token = %s
"""


def give_up(slot: Slot) -> None:
    """Free the slot for others, unless it was lost already."""
    WorkSlot.objects.filter(work=slot.work, place=slot.place, token=slot.token).delete()


def held(work: str) -> int:
    """Return how many slots of this work are held by a process that renews them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM registry_workslot WHERE work = %s AND expires_at >= clock_timestamp()",
            [work],
        )
        return int(cursor.fetchone()[0])
