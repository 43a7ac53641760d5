"""One round of the alerts: read new events, then send what is due.

Each step is one transaction under one lock: two processes may run it, and one that is killed anywhere loses
and repeats nothing. One query before says whether there is anything to do, since mostly there is not.
"""

from __future__ import annotations

import datetime as dt

from django.db import connection
from django.utils import timezone

from registry.models import Event
from saga_project.shared import locks
from webhooks.models import Alert, AlertCursor, Flapping
from webhooks.outbound.alerts import flapping, reading, sending

MAX_PAGES = 20
#: Also true without a cursor, which has to be set, and with one of a database that was restored.
_IS_ANYTHING_DUE = f"""
    SELECT (
        SELECT place.transaction > pg_snapshot_xmin(pg_current_snapshot())::text::bigint
            OR EXISTS (
                SELECT FROM "{Event._meta.db_table}" AS event
                WHERE (event.transaction, event.id) > (place.transaction, place.event)
            )
        FROM "{AlertCursor._meta.db_table}" AS place WHERE place.id = 1
    ) IS NOT FALSE
    OR EXISTS (SELECT FROM "{Alert._meta.db_table}" WHERE due_at <= %s)
    OR EXISTS (SELECT FROM "{Flapping._meta.db_table}" WHERE last_fell_at <= %s)
"""  # noqa: S608 (names of tables)


def sweep(*, now: dt.datetime | None = None) -> int:
    """Return how many messages were made."""
    now = now or timezone.now()
    if not is_anything_due(now=now):
        return 0
    for _ in range(MAX_PAGES):
        with locks.alone(locks.Lock.ALERTS) as is_mine:
            if not is_mine or reading.read_page(now=now) < reading.PAGE:
                break
    with locks.alone(locks.Lock.ALERTS) as is_mine:
        if not is_mine:
            return 0
        flapping.settle(now=now)
        return len(sending.send_due(now=now))


def is_anything_due(*, now: dt.datetime) -> bool:
    """Return whether there are events to read, alerts to send or flapping to end."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANYTHING_DUE, [now, now - flapping.WINDOW])
        [is_due] = cursor.fetchone() or (True,)
    return bool(is_due)
