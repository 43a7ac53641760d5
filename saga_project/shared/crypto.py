"""Secrets at rest: encrypted with keys of their own (``SAGA_ENCRYPTION_KEYS``), newest first."""

from __future__ import annotations

import functools
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from saga_project.shared import errors


class SecretUnreadable(errors.Unavailable):
    error = "Secret cannot be read"


@functools.cache
def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.SAGA_ENCRYPTION_KEYS])


def fingerprint(key: str) -> str:
    """Return 12 hex digits that identify a key and reveal nothing of it."""
    return hashlib.sha256(b"saga encryption key\0" + key.encode()).hexdigest()[:12]


def fingerprints() -> list[str]:
    """Return those of the configured keys, newest first."""
    return [fingerprint(key) for key in settings.SAGA_ENCRYPTION_KEYS]


def encrypt(plain: str) -> str:
    return _cipher().encrypt(plain.encode()).decode("ascii")


def decrypt(sealed: str) -> str:
    """Return the plain text; raises SecretUnreadable where no key fits. The text is in no message."""
    try:
        return _cipher().decrypt(sealed.encode("ascii")).decode()
    except InvalidToken:
        raise SecretUnreadable(
            "A stored secret was encrypted with a key that SAGA_ENCRYPTION_KEYS does not hold."
        ) from None


def rotate(sealed: str) -> str:
    """Return the same secret, encrypted with the newest key."""
    try:
        return _cipher().rotate(sealed.encode("ascii")).decode("ascii")
    except InvalidToken:
        raise SecretUnreadable("A stored secret cannot be read with the keys at hand.") from None
