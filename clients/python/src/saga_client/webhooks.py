"""Sign and verify calls as Standard Webhooks: what Saga sends to receivers and accepts from senders."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from saga_client import errors

TOLERANCE_SECONDS = 300
_MAX_SIGNATURES = 16
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secret: str | Sequence[str],
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Any:
    """Return the JSON of a call that Saga signed with one of the secrets.

    ``body`` are the raw bytes; the case of the headers' names does not matter. ``now`` is a Unix time.
    Raises InvalidSignature where a header is missing, the time is off by more than ``tolerance_seconds``,
    or no signature is right. Handle each ``webhook-id`` once: Saga delivers at least once.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = lowered.get("webhook-id", ""), lowered.get("webhook-timestamp", "")
    if not message_id or _TIMESTAMP.fullmatch(timestamp) is None:
        raise errors.InvalidSignature("The headers webhook-id and webhook-timestamp are missing.")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_seconds:
        raise errors.InvalidSignature(
            f"The webhook's time is off by more than {tolerance_seconds} seconds; compare the clocks."
        )
    presented = lowered.get("webhook-signature", "").split()[:_MAX_SIGNATURES]
    secrets = [secret] if isinstance(secret, str) else secret
    expected = [_signature(body, message_id, timestamp, each) for each in secrets]
    matches = [_is_same(one, other) for one in presented for other in expected]
    if not any(matches):
        raise errors.InvalidSignature("No signature of the webhook fits the secret.")
    return json.loads(body)


def sign(
    body: bytes, *, secret: str, message_id: str | None = None, now: float | None = None
) -> dict[str, str]:
    """Return the headers that prove a call to Saga, where a secret is configured for the service."""
    message_id = message_id or f"msg_{uuid.uuid4().hex}"
    timestamp = str(int(time.time() if now is None else now))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": _signature(body, message_id, timestamp, secret),
    }


def _signature(body: bytes, message_id: str, timestamp: str, secret: str) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode('ascii')}"


def _key_of(secret: str) -> bytes:
    """Return the secret's UTF-8 bytes, or what follows ``whsec_``, base64-decoded."""
    if not secret.startswith("whsec_"):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret[len("whsec_") :], validate=True)
        except binascii.Error:
            raise ValueError("What follows whsec_ is not base64.") from None
    if not key:
        raise ValueError("The secret of the webhook is empty.")
    return key


def _is_same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), expected.encode())
