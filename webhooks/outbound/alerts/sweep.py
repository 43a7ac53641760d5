"""One round of the alerts: read new events, then tell what is due.

Each step is one transaction under one lock: two processes may run it, and one that is killed anywhere loses
and repeats nothing.
"""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from saga_project.shared import locks
from webhooks.outbound.alerts import flapping, reading, telling

MAX_PAGES = 20


def sweep(*, now: dt.datetime | None = None) -> int:
    """Return how many messages were made."""
    now = now or timezone.now()
    for _ in range(MAX_PAGES):
        with locks.alone(locks.Lock.ALERTS) as is_mine:
            if not is_mine or reading.read_page(now=now) < reading.PAGE:
                break
    with locks.alone(locks.Lock.ALERTS) as is_mine:
        if not is_mine:
            return 0
        flapping.settle(now=now)
        return len(telling.tell_due(now=now))
