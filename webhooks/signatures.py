"""Sign and verify over raw bytes; pure.

Three ways to sign a body are understood:

- ``X-Webhook-Signature``: HMAC-SHA256 of the body in hex, with or without ``sha256=``;
- ``X-Hub-Signature-256``: the same, as GitHub sends it;
- Standard Webhooks: ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` (``v1,<base64>``, several
  separated by spaces), over ``<id>.<timestamp>.<body>``, five minutes of tolerance.

Whole digests are compared, as bytes and in constant time; a header with characters beyond ASCII is
merely wrong.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import enum
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

TOLERANCE_SECONDS = 300
STANDARD_PREFIX = "whsec_"
MAX_SIGNATURES = 16

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class Scheme(enum.StrEnum):
    BODY = "x-webhook-signature"
    GITHUB = "x-hub-signature-256"
    STANDARD = "webhook-signature"


class Proof(enum.StrEnum):
    """The verified properties of a call."""

    SIGNATURE = "signature"
    SECRET = "secret"  # noqa: S105
    NOTHING = "nothing"
    WRONG = "wrong"


def key_of(secret: str) -> bytes:
    """Return the key in ``secret``: its UTF-8 bytes, or what follows ``whsec_``, base64-decoded.

    Raises ValueError where what follows is not base64, or nothing.
    """
    if not secret.startswith(STANDARD_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("What follows whsec_ is not base64.") from None
    if not key:
        raise ValueError("Nothing follows whsec_.")
    return key


def sign_body(body: bytes, *, secret: str) -> str:
    return "sha256=" + hmac.digest(key_of(secret), body, hashlib.sha256).hex()


def sign_standard(
    body: bytes, *, message_id: str, timestamp: int, secrets: Sequence[str]
) -> dict[str, str]:
    """Return the Standard Webhooks headers, with one signature for each secret that is alive."""
    signatures = (_standard_digest(body, message_id, str(timestamp), secret) for secret in secrets)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secrets:
        headers["webhook-signature"] = " ".join(f"v1,{text}" for text in signatures)
    return headers


def _standard_digest(body: bytes, message_id: str, timestamp: str, secret: str) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode("ascii")


def _is_same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), expected.encode())


def presented_schemes(headers: Mapping[str, str]) -> list[Scheme]:
    """Return the ways in which a call claims to be signed; header names are in lower case."""
    return [scheme for scheme in Scheme if scheme.value in headers]


def evaluate(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: Sequence[str],
    shown_secret: str | None,
    now: dt.datetime,
) -> Proof:
    """Return what the call has shown of ``secrets``, any of which counts.

    Each signature that is presented must be right: a wrong one is wrong beside whatever else.
    """
    schemes = presented_schemes(headers)
    if not all(_is_valid(scheme, body, headers, secrets, now) for scheme in schemes):
        return Proof.WRONG
    if schemes:
        return Proof.SIGNATURE
    if shown_secret is None:
        return Proof.NOTHING
    # No early end: how long this takes must not reveal which of the secrets it was.
    matches = [_is_same(shown_secret, secret) for secret in secrets]
    return Proof.SECRET if any(matches) else Proof.WRONG


def _is_valid(
    scheme: Scheme,
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    now: dt.datetime,
) -> bool:
    if scheme is Scheme.STANDARD:
        return _is_valid_standard(body, headers, secrets, now)
    presented = headers[scheme.value].strip().lower()
    if not presented.startswith("sha256="):
        if scheme is Scheme.GITHUB:
            return False
        presented = f"sha256={presented}"
    matches = [_is_same(presented, sign_body(body, secret=secret)) for secret in secrets]
    return any(matches)


def _is_valid_standard(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: dt.datetime
) -> bool:
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or _TIMESTAMP.fullmatch(timestamp) is None:
        return False
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    presented = headers[Scheme.STANDARD.value].split()[:MAX_SIGNATURES]
    expected = [f"v1,{_standard_digest(body, message_id, timestamp, secret)}" for secret in secrets]
    matches = [_is_same(one, other) for one in presented for other in expected]
    return any(matches)
