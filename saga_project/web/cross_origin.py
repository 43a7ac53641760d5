"""CORS headers of answers that are given before Django, by the settings of django-cors-headers."""

from __future__ import annotations

import re

from django.conf import settings

Fields = list[tuple[bytes, bytes]]


def fields(path: str, origin: str | None) -> Fields:
    """Return the fields of an answer on ``path`` to a page of ``origin``, as Django's would have them."""
    if not settings.SAGA_CORS_ORIGINS or re.match(settings.CORS_URLS_REGEX, path) is None:
        return []
    allowed = _allowed(origin)
    return [(b"vary", b"origin"), *(_allowing(allowed) if allowed else [])]


def fields_unread() -> Fields:
    """Return the fields of an answer to a request whose origin is not read: what any page would get."""
    is_any = settings.CORS_ALLOW_ALL_ORIGINS
    only = settings.CORS_ALLOWED_ORIGINS if len(settings.CORS_ALLOWED_ORIGINS) == 1 else []
    return _allowing("*" if is_any else only[0]) if is_any or only else []


def _allowed(origin: str | None) -> str | None:
    if settings.CORS_ALLOW_ALL_ORIGINS:
        return "*" if origin else None
    return origin if origin in settings.CORS_ALLOWED_ORIGINS else None


def _allowing(origin: str) -> Fields:
    exposed = ", ".join(settings.CORS_EXPOSE_HEADERS)
    return [
        (b"access-control-allow-origin", origin.encode("ascii")),
        (b"access-control-expose-headers", exposed.encode("ascii")),
    ]
