"""Send dead deliveries again."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable

from django.db import transaction

from saga_project.shared import transitions, wakeups
from updates.history import audit
from webhooks.models import Delivery, receiver_of

logger = logging.getLogger(__name__)
#: How many ids an entry of the audit trail names.
RECORDED_IDS = 100


def replay_deliveries(ids: Iterable[uuid.UUID], *, by: str, now: dt.datetime) -> int:
    """Queue dead deliveries again, with a fresh set of attempts, and return how many.

    They go where their endpoint or subscription leads now, which may have been mended since.
    """
    replayed: list[Delivery] = []
    with transaction.atomic(durable=True):
        dead = Delivery.objects.dead().filter(pk__in=list(ids)).order_by("pk")
        rows = dead.select_related("endpoint", "subscription").select_for_update(of=("self",))
        for row in rows:
            url = _url_now(row)
            if transitions.move(
                row,
                Delivery.Status.PENDING,
                url=url,
                receiver=receiver_of(url),
                attempt_count=0,
                next_attempt_at=now,
                finished_at=None,
                reason=f"Replayed by {by}.",
            ):
                replayed.append(row)
        _record(replayed, by=by, now=now)
        wakeups.wake("webhooks.deliver")
    logger.info("deliveries replayed", extra={"by": by, "count": len(replayed)})
    return len(replayed)


def _record(rows: list[Delivery], *, by: str, now: dt.datetime) -> None:
    """Append an entry for each service, with the first of its deliveries."""
    of_service: dict[str, list[str]] = {}
    for row in rows:
        of_service.setdefault(row.service_name, []).append(str(row.pk))
    for name, ids in sorted(of_service.items()):
        data = {"count": len(ids), "ids": ids[:RECORDED_IDS]}
        audit.record("delivery.replayed", actor=by, service_name=name, data=data, at=now)


def _url_now(row: Delivery) -> str:
    if row.endpoint is not None:
        return row.endpoint.url
    if row.subscription is not None and row.subscription.callback_url:
        return row.subscription.callback_url
    return row.url
