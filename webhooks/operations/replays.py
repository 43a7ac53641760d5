"""Send dead deliveries again."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q, QuerySet

from registry.identity.accounts import Caller
from registry.models import Service
from saga_project.shared import transitions, wakeups
from updates.history import audit
from webhooks.models import Delivery, receiver_of

logger = logging.getLogger(__name__)
#: How many ids an entry of the audit trail names.
RECORDED_IDS = 100


def visible_deliveries(*, by: Caller | None) -> QuerySet[Delivery]:
    """Return the deliveries that a caller may see: of services that no other account owns, and to it."""
    rows = Delivery.objects.all()
    if by is not None and by.is_admin:
        return rows
    visible = not_of_others(by)
    if by is not None:
        visible |= Q(subscription__account_id=by.account.pk)
    return rows.filter(visible)


def not_of_others(by: Caller | None) -> Q:
    """Return the filter for rows of services that no other account owns, by their ``service_name``."""
    foreign = Service.objects.exclude(account=None)
    if by is None:
        return ~Q(service_name__in=foreign.values("name"))
    if not by.is_bound_by_ownership:
        return ~Q(service_name="")
    foreign = foreign.exclude(account_id=by.account.pk)
    return ~Q(service_name__in=foreign.values("name")) & ~Q(service_name="")


def replay_deliveries(ids: Iterable[uuid.UUID], *, by: str, now: dt.datetime) -> int:
    """Queue dead deliveries again, with a fresh set of attempts, and return how many.

    They go where their endpoint or subscription leads now, which may have been corrected since.
    """
    with transaction.atomic(durable=True):
        return queue_again(ids, by=by, now=now)


def queue_again(ids: Iterable[uuid.UUID], *, by: str, now: dt.datetime) -> int:
    """Do the same in the caller's transaction."""
    replayed: list[Delivery] = []
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
