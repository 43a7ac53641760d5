"""Send dead deliveries again."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable

from django.db import transaction

from saga_project.shared import transitions, wakeups
from webhooks.models import Delivery, receiver_of

logger = logging.getLogger(__name__)


def replay_deliveries(ids: Iterable[uuid.UUID], *, by: str, now: dt.datetime) -> int:
    """Queue dead deliveries again, with a fresh set of attempts, and return how many.

    They go where their endpoint or subscription leads now, which may have been mended since.
    """
    count = 0
    with transaction.atomic(durable=True):
        dead = Delivery.objects.dead().filter(pk__in=list(ids)).order_by("pk")
        rows = dead.select_related("endpoint", "subscription").select_for_update(of=("self",))
        for row in rows:
            url = _url_now(row)
            count += transitions.move(
                row,
                Delivery.Status.PENDING,
                url=url,
                receiver=receiver_of(url),
                attempt_count=0,
                next_attempt_at=now,
                finished_at=None,
                reason=f"Replayed by {by}.",
            )
        wakeups.wake("webhooks.deliver")
    logger.info("deliveries replayed", extra={"by": by, "count": count})
    return count


def _url_now(row: Delivery) -> str:
    if row.endpoint is not None:
        return row.endpoint.url
    if row.subscription is not None and row.subscription.callback_url:
        return row.subscription.callback_url
    return row.url
