"""Redaction of calls before they are stored; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from saga_project.shared import strict_json

REDACTED = "[redacted]"
MAX_HEADERS = 64
MAX_HEADER_LENGTH = 512
_SECRET_KEY = re.compile(
    r"(secret|password|passwd|token|authorization|api[_-]?key|private[_-]?key|credentials?)$",
    re.IGNORECASE,
)
_SECRET_HEADER = re.compile(r"authorization|cookie|secret|token|signature|api-?key|password")


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the headers, bounded; a signature is redacted too, since it could be sent again."""
    kept = {}
    for name, value in sorted(given.items())[:MAX_HEADERS]:
        is_secret = _SECRET_HEADER.search(name.lower()) is not None
        # WSGI hands over latin-1, and PostgreSQL takes no NUL.
        kept[name] = REDACTED if is_secret else value[:MAX_HEADER_LENGTH].replace("\x00", "")
    return kept


def fitting(kept: Mapping[str, str], *, max_bytes: int) -> dict[str, str]:
    """Return as many of the headers, the short ones first, as fit into ``max_bytes`` of JSON."""
    fit: dict[str, str] = {}
    size = len("{}")
    for name, value in sorted(kept.items(), key=lambda pair: len(pair[0]) + len(pair[1])):
        size += len(strict_json.dumps({name: value})) + len(", ")
        if size > max_bytes:
            break
        fit[name] = value
    return fit


def body(raw: bytes, document: Any) -> str:
    """Return the body as it came, or, where it holds secrets, the same document without them."""
    clean = without_secrets(document)
    if clean == document:
        return raw.decode()
    return strict_json.dumps(clean).decode()


def without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED
            if _SECRET_KEY.search(key) is not None and inner is not None
            else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value
