"""Find out which service a call is for, whether its signature is right, and which message it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib

from registry.identity import accounts
from webhooks import errors, signatures, signing_secrets
from webhooks.inbound.calls import Call, Credentials
from webhooks.models import InboundCall
from webhooks.signatures import Proof


def named(call: Call) -> Call:
    """Return the call with the name of its service; it decides which secret counts."""
    return dataclasses.replace(call, service_name=call.route.name_of(call))


def verified(call: Call, *, now: dt.datetime) -> Call:
    """Return the call with what it has shown of the service's secret; raises InvalidSignature."""
    credentials = call.route.credentials_of(call)
    proof = _proof(call, credentials, now=now)
    is_body_signed = proof is Proof.SIGNATURE and not credentials.is_timestamped
    digest = hashlib.sha256(credentials.signed).hexdigest() if is_body_signed else ""
    call = dataclasses.replace(call, proof=proof, signed_digest=digest)
    _check_route(call)
    return call


def _proof(call: Call, shown: Credentials, *, now: dt.datetime) -> Proof:
    """Return what was shown.

    Where no secret is configured nothing can be shown, but a signature that comes with the secret itself
    must be right by that.
    """
    keys = signing_secrets.find(call.service_name, now=now)
    if not keys.secrets:
        if shown.shown_secret is not None and signatures.presented_schemes(shown.headers):
            _demand_signature_by(shown.shown_secret, shown, now=now)
        return Proof.NOTHING
    proof = signatures.evaluate(
        shown.signed,
        shown.headers,
        secrets=keys.secrets,
        shown_secret=shown.shown_secret,
        now=now,
    )
    is_shown = proof in (Proof.SIGNATURE, Proof.SECRET)
    if is_shown and keys.is_timestamp_required and not shown.is_timestamped:
        raise errors.TimestampRequired
    if proof is Proof.WRONG or (proof is Proof.NOTHING and call.route.needs_signature):
        raise errors.InvalidSignature
    return proof


def _demand_signature_by(secret: str, shown: Credentials, *, now: dt.datetime) -> None:
    try:
        proof = signatures.evaluate(
            shown.signed, shown.headers, secrets=[secret], shown_secret=None, now=now
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
    """Return the call with the id that makes it act once, if it has one; raises InvalidMessageId."""
    return dataclasses.replace(call, message_id=call.route.message_id_of(call))


def is_authenticated(call: Call) -> bool:
    """Whether the call needs no token: it is signed, or shows the secret on a route where that is enough."""
    return call.proof is Proof.SIGNATURE or (call.has_proof and call.route.is_secret_enough)


def check_may_change(call: Call) -> None:
    """Raise NotAllowed where the service belongs to an account that the call does not speak for."""
    if call.service_name and not call.has_proof:
        accounts.check_may_change_named(call.caller, call.service_name)
