"""Orders as signed texts: for one node, for a limited time, and by the control plane only.

TLS and the node's token protect the connection. The signature protects what is ordered: a proxy that ends TLS
cannot change it, and a writer of rows without the encryption keys cannot make one. Ed25519 needs no secret on
the node, so that a node that was taken over can order nothing from others.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

_CONTEXT = b"saga order 1\0"
#: Clocks of hosts differ by less.
SKEW = dt.timedelta(seconds=30)
FINGERPRINT_LENGTH = 32


class OrderRefused(Exception):
    """The order is not for this node, not now, or not from the control plane."""


def make_key() -> tuple[str, str]:
    """Return the private and the public half of a new key."""
    key = Ed25519PrivateKey.generate()
    return (
        base64.b64encode(key.private_bytes_raw()).decode(),
        base64.b64encode(key.public_key().public_bytes_raw()).decode(),
    )


def fingerprint(public: str) -> str:
    """Return the hexadecimal digits by which a join token names the key."""
    return hashlib.sha256(public.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def sign(document: dict[str, Any], *, private: str) -> str:
    """Return the envelope of a document, which names ``node``, ``id`` and ``expires_at``."""
    payload = json.dumps(document)
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
    signature = base64.b64encode(key.sign(_CONTEXT + payload.encode())).decode()
    return json.dumps({"payload": payload, "signature": signature})


def open_envelope(text: str, *, public: str, node: str, now: dt.datetime) -> dict[str, Any]:
    """Return the document of an envelope; raises OrderRefused."""
    try:
        envelope = json.loads(text)
        payload = str(envelope["payload"]).encode()
        signature = base64.b64decode(envelope["signature"], validate=True)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
        key.verify(signature, _CONTEXT + payload)
        document = json.loads(payload)
        expires_at = dt.datetime.fromisoformat(document["expires_at"])
    except InvalidSignature:
        raise OrderRefused("The signature is not the control plane's.") from None
    except (ValueError, KeyError, TypeError) as exc:
        raise OrderRefused(f"The order cannot be read: {type(exc).__name__}.") from exc
    if document.get("node") != node:
        raise OrderRefused(f"The order is for node {document.get('node')!r}.")
    if now > expires_at + SKEW:
        raise OrderRefused(f"The order expired at {document['expires_at']}.")
    return dict(document)
