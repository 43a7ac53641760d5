"""Resume a receiver that is paused or disabled, and send what it missed."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q, QuerySet

from registry.identity.accounts import Caller
from updates.history import audit
from webhooks import errors
from webhooks.models import Delivery, Receiver
from webhooks.operations import replays
from webhooks.outbound import breaker

REPLAYED = 1_000


def visible_receivers(*, by: Caller | None) -> QuerySet[Receiver]:
    """Return the receivers that fail, of services that no other account owns."""
    is_shown = Q() if by is not None and by.is_admin else replays.not_of_others(by)
    return Receiver.objects.filter(is_shown)


def resume_receiver(pk: int, *, by: str, now: dt.datetime) -> int:
    """Send the receiver at once what waits for it and the newest 1,000 that died, and return how many died.

    Raises ReceiverNotFound.
    """
    with transaction.atomic(durable=True):
        row = Receiver.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            raise errors.ReceiverNotFound("This receiver is neither paused nor disabled any more.")
        dead = Delivery.objects.dead().filter(
            receiver=row.digest, finished_at__gte=row.failing_since
        )
        missed = list(dead.order_by("-created_at").values_list("pk", flat=True)[:REPLAYED])
        breaker.resume(row, now=now)
        count = replays.queue_again(missed, by=by, now=now)
        audit.record(
            "receiver.resumed",
            actor=by,
            service_name=row.service_name,
            data={"receiver": row.digest, "missed": len(missed)},
            at=now,
        )
    return count
