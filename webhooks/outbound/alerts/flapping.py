"""Flap damping: what becomes unhealthy too often is reported once as flapping, and once as steady again.

In between its alerts open and end in silence; one that is still open in the end is sent then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import Q

from registry import events
from webhooks import event_constructors
from webhooks.models import Alert, Flapping
from webhooks.outbound.alerts import schedule

#: It falls ill this often within the window: with each recovery that is twice as many changes.
TIMES = 4
WINDOW = dt.timedelta(minutes=10)
PROBLEMS = ("expired", "silent", "health", "crashed", "check")
BATCH = 500

Key = tuple[str, str]


class FlapBook:
    """What is known of the services of one page of events."""

    def __init__(self, service_names: Iterable[str]) -> None:
        rows = Flapping.objects.filter(service_name__in=set(service_names)).order_by("pk")
        self._rows: dict[Key, Flapping] = {
            (row.service_name, row.subject): row for row in rows.select_for_update()
        }
        self._changed: dict[Key, Flapping] = {}

    def note(self, service_name: str, subject: str, *, at: dt.datetime) -> None:
        """Count a fall; the one that is too many publishes ``service.flapping``."""
        key = (service_name, subject)
        row = self._rows.setdefault(key, Flapping(service_name=service_name, subject=subject))
        row.fell_at = [*(each for each in row.fell_at if at - each < WINDOW), at][-TIMES:]
        row.last_fell_at = at
        self._changed[key] = row
        if row.began_at is None and len(row.fell_at) >= TIMES:
            row.began_at = at
            seconds = int(WINDOW.total_seconds())
            events.publish(
                event_constructors.flapping(
                    service_name, instance_id=subject, times=TIMES, seconds=seconds
                )
            )

    def is_flapping(self, service_name: str, subject: str) -> bool:
        row = self._rows.get((service_name, subject))
        return row is not None and row.began_at is not None

    def save(self) -> None:
        new = [row for row in self._changed.values() if row.pk is None]
        Flapping.objects.bulk_create(new, batch_size=BATCH)
        known = [row for row in self._changed.values() if row not in new]
        Flapping.objects.bulk_update(
            known, ["fell_at", "last_fell_at", "began_at"], batch_size=BATCH
        )


def settle(*, now: dt.datetime) -> None:
    """Publish what has been steady for the whole window, in the caller's transaction, and forget it."""
    quiet = Flapping.objects.filter(last_fell_at__lte=now - WINDOW).order_by("pk")
    rows = list(quiet.select_for_update()[:BATCH])
    for row in rows:
        if row.began_at is None:
            continue
        events.publish(event_constructors.steady(row.service_name, instance_id=row.subject))
        _send_open(row, now=now)
    Flapping.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _send_open(row: Flapping, *, now: dt.datetime) -> None:
    """Send what is still ill and was not sent, unless a person sees to it already."""
    is_of_it = Q(subject=row.subject) | Q(subject__startswith=f"{row.subject} ")
    open_ones = Alert.objects.filter(
        is_of_it,
        state=Alert.State.OPEN,
        service_name=row.service_name,
        problem__in=PROBLEMS,
        sent_at=None,
        acknowledged_at=None,
    )
    for alert in open_ones.select_related("rule").order_by("pk"):
        alert.due_at = schedule.news_due(alert.rule, now=now, severity=alert.severity)
        alert.save(update_fields=["due_at"])
