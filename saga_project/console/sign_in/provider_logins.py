"""Logins at the provider: how people and their sessions there are known here, and what a session keeps."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from django.http import HttpRequest

PROVIDER = "oidc"
KEY = "saga_provider_login"


def subject_of(claims: dict[str, Any]) -> str:
    """Return a digest of issuer and subject: another issuer's subjects are other people."""
    return hashlib.sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()


def digest(claims: dict[str, Any], name: str) -> str:
    """Return a digest of the issuer and a claim; empty where the claim is no text, or empty."""
    text = claims.get(name)
    if not isinstance(text, str) or not text:
        return ""
    whole = f"{name}\n{claims['iss']}\n{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()


def moment(seconds: Any) -> dt.datetime | None:
    """Return the time that a claim such as ``iat`` names; None where it is no number, or out of range."""
    if type(seconds) not in (int, float):
        return None
    try:
        return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None


def note(request: HttpRequest, claims: dict[str, Any], *, now: dt.datetime) -> None:
    """Keep in the session from which login it comes; times are those of the provider's clock."""
    issued_at = moment(claims.get("iat")) or now
    request.session[KEY] = {
        "subject": subject_of(claims),
        "sid": digest(claims, "sid"),
        "at": issued_at.isoformat(),
    }
