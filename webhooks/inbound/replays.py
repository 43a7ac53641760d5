"""Act on a kept call once more, where staff or an account want it."""

from __future__ import annotations

import datetime as dt
import logging
import uuid

from django.db import transaction

from registry.identity import accounts
from registry.identity.accounts import Caller
from saga_project.shared import api
from updates.history import audit
from webhooks import errors
from webhooks.inbound import routes
from webhooks.inbound.calls import Call, CallAnswer, Person, Route
from webhooks.models import InboundCall

logger = logging.getLogger(__name__)


def replay_call(call_id: uuid.UUID, *, by: Person | Caller, now: dt.datetime) -> CallAnswer:
    """Act on a kept call once more, as the person or account that replays it.

    It carries no message id, since the point of it is to act again, and none of what the call once
    proved: the person's own permission counts, or the account's scope and ownership.
    Raises NotReplayable, ReplayNotAllowed, ServiceOwned.
    """
    row = InboundCall.objects.filter(pk=call_id).first()
    if row is None or not row.is_whole:
        raise errors.NotReplayable(
            "The call was refused, cut, or holds a secret that was not kept."
        )
    route = routes.ALL[row.route]
    _check_may_replay(row, route, by=by)
    raw = row.body.encode()
    person = by if isinstance(by, Person) else None
    call = Call(
        route=route,
        raw=raw,
        headers=row.headers,
        document=api.read_json_object(raw),
        caller=accounts.staff(by.username) if isinstance(by, Person) else by,
        request_id=f"replay-{row.pk.hex}",
        service_name=row.service_name,
        replay_of_id=row.pk,
        person=person,
    )
    with transaction.atomic():
        _note(row, by=call.actor, now=now)
    logger.info("call replayed", extra={"call_id": str(row.pk), "by": call.actor})
    return route.act(call, now)


def _check_may_replay(row: InboundCall, route: Route, *, by: Person | Caller) -> None:
    if isinstance(by, Person):
        if not by.may(route.permission):
            raise errors.ReplayNotAllowed(
                f"Your role does not allow what a '{route.name}' call does ({route.permission})."
            )
        return
    if not by.has_scope(route.scope):
        raise errors.ReplayNotAllowed(
            f"What a '{route.name}' call does takes the scope '{route.scope}'."
        )
    if row.service_name:
        accounts.check_may_change_named(by, row.service_name)


def _note(row: InboundCall, *, by: str, now: dt.datetime) -> None:
    audit.record(
        "call.replayed",
        actor=by,
        service_name=row.service_name,
        data={"call_id": str(row.pk), "route": row.route},
        at=now,
    )
