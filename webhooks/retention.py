"""Purge calls, deliveries and alerts past their retention."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db.models import Model, QuerySet

from webhooks.models import Alert, Delivery, InboundCall

BATCH = 1000
MAX_REFUSED = 10_000
MAX_UNAUTHENTICATED = 1_000
#: Rows beyond it are deleted so many at a time.
RING_SLACK = 100


def purge(*, now: dt.datetime) -> int:
    """Delete calls and settled deliveries past their time, and refused calls beyond a number."""
    before = now - dt.timedelta(days=settings.SAGA_EVENT_RETENTION_DAYS)
    settled = Delivery.objects.filter(created_at__lt=before, finished_at__isnull=False)
    sent = Alert.objects.filter(opened_at__lt=before, due_at=None)
    return (
        _delete(sent)
        + _delete(InboundCall.objects.filter(received_at__lt=before))
        + _delete(settled)
        + _purge_refused()
    )


def _purge_refused() -> int:
    """Keep only the newest rejected calls, so that a flood cannot fill the disk."""
    refused = InboundCall.objects.filter(verdict=InboundCall.Verdict.REFUSED)
    oldest_kept = refused.order_by("-received_at").values_list("received_at", flat=True)[
        MAX_REFUSED - 1 :
    ][:1]
    for received_at in oldest_kept:
        return _delete(refused.filter(received_at__lt=received_at))
    return 0


def trim_unauthenticated() -> None:
    """Delete the oldest refused calls without a known caller, so that these are a bounded ring."""
    wake = InboundCall.objects.filter(
        verdict=InboundCall.Verdict.REFUSED, status__in=(401, 403), caller=""
    ).order_by("-received_at")
    keys = wake.values_list("pk", flat=True)
    if keys[MAX_UNAUTHENTICATED + RING_SLACK :].exists():
        InboundCall.objects.filter(pk__in=list(keys[MAX_UNAUTHENTICATED:][:BATCH])).delete()


def _delete(rows: QuerySet[Model]) -> int:
    """In batches, so that no transaction is long."""
    count = 0
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        rows.filter(pk__in=batch).delete()
        count += len(batch)
    return count
