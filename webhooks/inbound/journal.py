"""The rows of inbound calls: each is kept with its verdict, and a message id acts once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db import transaction

from registry import idempotency
from saga_project.shared import api
from webhooks import errors, redaction, retention
from webhooks.inbound.calls import Call, CallAnswer
from webhooks.models import InboundCall

MAX_REFUSED_BODY = 4096
MAX_UNAUTHENTICATED_HEADERS = 2048
# What was refused is refused when it is replayed as well.
UNREPLAYABLE = frozenset({401, 403})
Verdict = InboundCall.Verdict


def act_once(call: Call, effect: Callable[[], CallAnswer], *, now: dt.datetime) -> CallAnswer:
    """Store the call, its effect and its event in one transaction, and return the answer.

    Of many copies with one message id the first acts; the others wait for it on the unique index
    and get its answer. Raises MessageDiffers where the body is another.
    """
    with transaction.atomic(durable=True):
        row = store(call, now=now)
        if row is None:
            return repeat(call, now=now)
        answer = effect()
        keep_answer(row, answer)
        return answer


def store(call: Call, *, now: dt.datetime) -> InboundCall | None:
    """Store an accepted call; None where its message id has been here before."""
    row = _row(call, verdict=Verdict.ACCEPTED, now=now)
    InboundCall.objects.bulk_create([row], ignore_conflicts=bool(call.message_id))
    if call.message_id and not InboundCall.objects.filter(pk=row.pk).exists():
        return None
    return row


def first_of(call: Call) -> InboundCall | None:
    """Return the call that came with this message id first, if there was one."""
    if not call.message_id:
        return None
    return InboundCall.objects.filter(
        service_name=call.service_name, message_id=call.message_id, verdict=Verdict.ACCEPTED
    ).first()


def keep_answer(row: InboundCall, answer: CallAnswer) -> None:
    row.status, row.answer = answer.status, answer.body
    row.save(update_fields=["status", "answer"])
    idempotency.keep(status=answer.status, content=api.JSONRenderer().render(answer.body))


def repeat(call: Call, *, now: dt.datetime) -> CallAnswer:
    """Answer a repeated message with its first answer; raises MessageDiffers."""
    first = first_of(call)
    if first is None or first.request_digest != call.digest:
        raise errors.MessageDiffers(
            f"The message id '{call.message_id}' came with another body before.", field="message_id"
        )
    answer = CallAnswer(first.status or 202, first.answer)
    row = _row(call, verdict=Verdict.REPEATED, now=now)
    row.status, row.answer = answer.status, answer.body
    row.save(force_insert=True)
    return answer


def refuse(call: Call, answer: CallAnswer, *, now: dt.datetime) -> None:
    """Keep a call that changed nothing. Its body is cut, since a replay has no effect."""
    row = _row(call, verdict=Verdict.REFUSED, now=now)
    row.status, row.answer = answer.status, answer.body
    if len(row.body) > MAX_REFUSED_BODY:
        row.body, row.is_whole = row.body[:MAX_REFUSED_BODY], False
    if answer.status in UNREPLAYABLE:
        row.is_whole = False
    is_unauthenticated = answer.status in UNREPLAYABLE and call.caller is None
    if is_unauthenticated:
        row.headers = redaction.fitting(row.headers, max_bytes=MAX_UNAUTHENTICATED_HEADERS)
    row.save(force_insert=True)
    if is_unauthenticated:
        retention.trim_unauthenticated()


def _row(call: Call, *, verdict: str, now: dt.datetime) -> InboundCall:
    # A body that is not even JSON may hold a secret anywhere, so it is not kept.
    body = "" if call.document is None else redaction.body(call.raw, call.document)
    is_config = call.route.name == "config" and redaction.REDACTED in body
    return InboundCall(
        route=call.route.name,
        service_name=call.service_name,
        message_id=call.message_id,
        request_digest=call.digest,
        signed_digest=call.signed_digest,
        request_id=call.request_id,
        proof=call.proof,
        caller="" if call.caller is None else str(call.caller),
        headers=redaction.headers(call.headers),
        body=body,
        is_whole=call.document is not None and not is_config,
        verdict=verdict,
        received_at=now,
        replay_of_id=call.replay_of_id,
    )
