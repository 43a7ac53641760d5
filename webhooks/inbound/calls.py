"""Keep inbound calls, judge their signatures, and see that a message id acts once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction

import updates.operations
from registry import idempotency, names
from registry.identity import accounts
from registry.identity.accounts import Caller
from saga_project.shared import api
from saga_project.shared.errors import InvalidRequest
from updates.errors import OverrideNotAllowed
from webhooks import errors, redaction, retention, signatures, signing_secrets
from webhooks.inbound.senders import github
from webhooks.models import InboundCall
from webhooks.signatures import Proof

# These calls act on a service in its own name: once it has a secret, they must be signed.
GUARDED = frozenset({"update", "deploy", "rollback", "health", "lifecycle"})
Verdict = InboundCall.Verdict

_MESSAGE_ID = re.compile(r"[!-~]{1,200}", re.ASCII)
MAX_REFUSED_BODY = 4096
MAX_UNAUTHENTICATED_HEADERS = 2048
# What was not let in is not let in by a replay either.
UNREPLAYABLE = frozenset({401, 403})


@dataclasses.dataclass(frozen=True)
class Person:
    """A member of staff that replays a call; ``may`` says whether a permission is theirs."""

    username: str
    may: Callable[[str], bool]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A call as it came, and what was found out about it so far."""

    route: str
    raw: bytes = dataclasses.field(repr=False)
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    document: dict[str, Any] | None = dataclasses.field(default=None, repr=False)
    caller: Caller | None = None
    request_id: str = ""
    service_name: str = ""
    proof: Proof = Proof.NOTHING
    message_id: str = ""
    replay_of_id: uuid.UUID | None = None
    person: Person | None = None

    @property
    def has_proof(self) -> bool:
        return self.proof in (Proof.SIGNATURE, Proof.SECRET)

    @property
    def is_timestamped(self) -> bool:
        """Whether the signature covers an id and a time: Standard Webhooks, and no other beside it."""
        return signatures.presented_schemes(self.headers) == [signatures.Scheme.STANDARD]

    @property
    def signed_digest(self) -> str:
        """The digest of a body if the signature covers nothing else; empty for any other call."""
        if self.proof is not Proof.SIGNATURE or self.is_timestamped:
            return ""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def actor(self) -> str:
        """Return the caller's name for display."""
        if self.person is not None:
            return self.person.username
        if self.caller is not None:
            return str(self.caller)
        return updates.operations.SIGNED_WEBHOOK if self.has_proof else updates.operations.WEBHOOK

    def override(self, reason: str | None) -> updates.operations.Override | None:
        """Return the override that the call asks for; raises OverrideNotAllowed."""
        if self.person is None or reason is None:
            return updates.operations.override_of(self.caller, reason)
        if not self.person.may("updates.override_calendar"):
            raise OverrideNotAllowed("Your role does not allow an override.")
        return updates.operations.Override(by=self.person.username, reason=reason)

    @property
    def fields(self) -> dict[str, Any]:
        """The body's fields, in our words where it is GitHub's."""
        document = self.document or {}
        is_foreign = self.route == "update" and github.is_native(self.headers, document)
        return github.read(self.headers, document) if is_foreign else document

    @property
    def digest(self) -> str:
        """Return the key that makes two bodies equal: content, since GitHub does not keep the bytes."""
        said = self.raw if self.document is None else _canonical(self.document)
        return hashlib.sha256(self.route.encode() + b"\n" + said).hexdigest()


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclasses.dataclass(frozen=True)
class CallAnswer:
    status: int
    body: dict[str, Any]


# --- Judging --------------------------------------------------------------------------------------


def judge(call: Call, *, now: dt.datetime) -> Proof:
    """Return what the call has shown of the service's secret; raises InvalidSignature.

    Where no secret is configured nothing can be shown, but a signature that comes with a
    ``webhook_secret`` must be right by that.
    """
    shown = (call.document or {}).get("webhook_secret")
    shown = shown if isinstance(shown, str) else None
    keys = signing_secrets.find(call.service_name, now=now)
    if not keys.secrets:
        if shown is not None and signatures.presented_schemes(call.headers):
            _demand_signature_by(shown, call, now=now)
        return Proof.NOTHING
    proof = signatures.judge(
        call.raw, call.headers, secrets=keys.secrets, shown_secret=shown, now=now
    )
    is_shown = proof in (Proof.SIGNATURE, Proof.SECRET)
    if is_shown and keys.is_timestamp_required and not call.is_timestamped:
        raise errors.TimestampRequired
    if proof is Proof.WRONG or (proof is Proof.NOTHING and call.route in GUARDED):
        raise errors.InvalidSignature
    return proof


def _demand_signature_by(shown: str, call: Call, *, now: dt.datetime) -> None:
    try:
        proof = signatures.judge(
            call.raw, call.headers, secrets=[shown], shown_secret=None, now=now
        )
    except ValueError:
        raise errors.InvalidSignature from None
    if proof is not Proof.SIGNATURE:
        raise errors.InvalidSignature


def check_route(call: Call) -> None:
    """Raise SignatureUsed where the same signed body acted on another route.

    A signature over the body alone fits every route; one with an id and a timestamp acts once.
    """
    if not call.signed_digest:
        return
    others = InboundCall.objects.filter(
        service_name=call.service_name,
        signed_digest=call.signed_digest,
        verdict=Verdict.ACCEPTED,
    ).exclude(route=call.route)
    if first := others.order_by("received_at").values_list("route", flat=True).first():
        raise errors.SignatureUsed(
            f"The route '{first}' accepted this body with this signature. Sign with the Standard Webhooks"
            " headers, or send a body of its own to each route."
        )


def named(call: Call, *, is_optional: bool = False) -> Call:
    """Return the call with the name that its body gives; it decides which secret counts."""
    name = call.fields.get("service_name")
    is_without_service = call.route == "update" and github.is_without_service(
        call.headers, call.document or {}
    )
    if name is None and (is_optional or is_without_service):
        return call
    if name is None:
        raise InvalidRequest("service_name: This field is required.", field="service_name")
    if not isinstance(name, str):
        raise InvalidRequest("service_name: Not a valid string.", field="service_name")
    return dataclasses.replace(call, service_name=names.check_service_name(name))


def identified(call: Call) -> Call:
    """Return the call with the id that makes it act once, if it has one."""
    for header, prefix in (("webhook-id", ""), ("x-github-delivery", "github:")):
        if header in call.headers:
            if _MESSAGE_ID.fullmatch(call.headers[header]) is None:
                raise errors.InvalidMessageId(
                    f"'{header}' has 1-200 printable ASCII characters without spaces."
                )
            return dataclasses.replace(call, message_id=prefix + call.headers[header])
    return call


def check_may_change(call: Call) -> None:
    """Raise NotAllowed where the service belongs to an account that the call does not speak for."""
    if call.service_name and not call.has_proof:
        accounts.check_may_change_named(call.caller, call.service_name)


# --- Keeping --------------------------------------------------------------------------------------


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
    """CallAnswer a message that was here before with its first answer; raises MessageDiffers."""
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
    is_config = call.route == "config" and redaction.REDACTED in body
    return InboundCall(
        route=call.route,
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
