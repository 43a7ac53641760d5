"""Doing again what staff want done again."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable

from django.db import transaction

from registry.identity import accounts
from saga_project.shared import api, wakeups
from updates.history import audit
from webhooks import errors
from webhooks.inbound import calls
from webhooks.inbound.calls import Call, CallAnswer
from webhooks.models import Delivery, InboundCall, receiver_of
from webhooks.operations import inbound

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
            count += (
                Delivery.objects.dead()
                .filter(pk=row.pk)
                .update(
                    status=Delivery.Status.PENDING,
                    url=url,
                    receiver=receiver_of(url),
                    attempt_count=0,
                    next_attempt_at=now,
                    finished_at=None,
                    reason=f"Replayed by {by}.",
                )
            )
        wakeups.ring("webhooks.deliver")
    logger.info("deliveries replayed", extra={"by": by, "count": count})
    return count


def _url_now(row: Delivery) -> str:
    if row.endpoint is not None:
        return row.endpoint.url
    if row.subscription is not None and row.subscription.callback_url:
        return row.subscription.callback_url
    return row.url


#: What the effect of each route asks of the person that replays a call to it.
PERMISSIONS = {
    "update": "updates.add_job",
    "check-updates": "updates.add_job",
    "deploy": "updates.add_job",
    "rollback": "updates.add_job",
    "health": "registry.change_service",
    "lifecycle": "registry.change_service",
    "notify": "webhooks.change_configuration",
    "config": "webhooks.change_configuration",
}


def replay_call(call_id: uuid.UUID, *, by: calls.Person, now: dt.datetime) -> CallAnswer:
    """Act on a kept call once more, as the person that replays it; raises NotReplayable, ReplayNotAllowed.

    It carries no message id, since the point of it is to act again, and none of what the call once
    proved: the person's own permission counts.
    """
    row = InboundCall.objects.filter(pk=call_id).first()
    if row is None or not row.is_whole:
        raise errors.NotReplayable(
            "The call was refused, cut, or holds a secret that was not kept."
        )
    if not by.may(PERMISSIONS[row.route]):
        raise errors.ReplayNotAllowed(
            f"Your role does not allow what a '{row.route}' call does ({PERMISSIONS[row.route]})."
        )
    raw = row.body.encode()
    call = Call(
        route=row.route,
        raw=raw,
        headers=row.headers,
        document=api.read_json_object(raw),
        caller=accounts.staff(by.username),
        request_id=f"replay-{row.pk.hex}",
        service_name=row.service_name,
        replay_of_id=row.pk,
        person=by,
    )
    with transaction.atomic():
        _note(row, by=by.username, now=now)
    logger.info("call replayed", extra={"call_id": str(row.pk), "by": by.username})
    return inbound.receive(call, now=now)


def _note(row: InboundCall, *, by: str, now: dt.datetime) -> None:
    audit.record(
        "call.replayed",
        actor=by,
        service_name=row.service_name,
        data={"call_id": str(row.pk), "route": row.route},
        at=now,
    )
