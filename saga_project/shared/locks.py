"""Named PostgreSQL advisory locks, and the order in which row locks are acquired.

Every advisory lock has a name here. Locks last until the transaction ends, so a lost connection never keeps
one longer than PostgreSQL keeps its transaction.

Order of row locks, parent before child, in primary-key order where several rows of one table are locked:

1. ``Service``, then ``Instance`` and ``Subscription``; ``Node``, where an account takes a service over
2. ``Release``, then ``Approval``
3. ``Job``, then ``Step``, then ``Target``
4. ``InboundCall``, then ``Delivery``, then ``Attempt``
5. ``Alert``, then ``Delivery``
6. ``JoinToken``, then ``ServiceAccount``, then ``Node``, then ``NodeOrder`` and ``Token``
7. ``HISTORY_OF_SERVICE``, then ``AUDIT_CHAIN``

An advisory lock of a periodic task comes before all row locks. A row to which others refer is locked without
its key (``no_key``) where an audit entry follows: a transaction checks the rows to which it refers as it
commits, and has the lock of the audit trail by then.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


class Lock(enum.IntEnum):
    """Advisory locks by name; the numbers are unique within Saga's database."""

    PREPARE = 8030
    EXPIRY_SWEEP = 7341
    MISSED_HEARTBEATS = 7342
    JOB_RECOVERY = 5001
    DOWNLOADS = 5002
    DELIVERY_CLAIMS = 0x5A6A_0301
    AUDIT_CHAIN = 0x5A6A_A0D1
    APPLY = 0x5A6A_A991
    ALERTS = 0x5A6A_A1E7
    UPLOADS = 0x5A6A_0B10


class NamedLock(enum.IntEnum):
    """Families of advisory locks; a name, such as a service's, selects one of the family."""

    HISTORY_OF_SERVICE = 4


def acquire(lock: Lock) -> None:
    """Wait for the lock and keep it until the transaction ends; ``lock_timeout`` applies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int(lock)])


def acquire_named(family: NamedLock, name: str) -> None:
    """Wait for the family's lock of this name and keep it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [name, int(family)]
        )


def try_acquire(lock: Lock) -> bool:
    """Acquire the lock until the transaction ends, or return False at once where another session has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int(lock)])
        [is_acquired] = cursor.fetchone() or (False,)
    return bool(is_acquired)


@contextmanager
def alone(lock: Lock) -> Iterator[bool]:
    """Open a transaction for a periodic task; yields whether it acquired the lock."""
    with transaction.atomic(durable=True):
        yield try_acquire(lock)
