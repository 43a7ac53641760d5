"""Find out which service a call is for, whether its signature is right, and which message it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re

from registry.identity import accounts
from webhooks import errors, signatures, signing_secrets
from webhooks.inbound.calls import Call
from webhooks.models import InboundCall
from webhooks.signatures import Proof

_MESSAGE_ID = re.compile(r"[!-~]{1,200}", re.ASCII)


def named(call: Call) -> Call:
    """Return the call with the name of its service; it decides which secret counts."""
    return dataclasses.replace(call, service_name=call.route.name_of(call))


def verified(call: Call, *, now: dt.datetime) -> Call:
    """Return the call with what it has shown of the service's secret; raises InvalidSignature."""
    call = dataclasses.replace(call, proof=_proof(call, now=now))
    _check_route(call)
    return call


def _proof(call: Call, *, now: dt.datetime) -> Proof:
    """Return what was shown.

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
    if proof is Proof.WRONG or (proof is Proof.NOTHING and call.route.needs_signature):
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


def _check_route(call: Call) -> None:
    """Raise SignatureUsed where the same signed body acted on another route.

    A signature over the body alone fits every route; one with an id and a timestamp acts once.
    """
    if not call.signed_digest:
        return
    others = InboundCall.objects.filter(
        service_name=call.service_name,
        signed_digest=call.signed_digest,
        verdict=InboundCall.Verdict.ACCEPTED,
    ).exclude(route=call.route.name)
    if first := others.order_by("received_at").values_list("route", flat=True).first():
        raise errors.SignatureUsed(
            f"The route '{first}' accepted this body with this signature. Sign with the Standard Webhooks"
            " headers, or send a body of its own to each route."
        )


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
