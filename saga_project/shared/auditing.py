"""Entries for the audit trail, from packages that do not know where it is kept."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

from django.dispatch import Signal

#: Sent inside the transaction of the change; its receiver writes the entry.
recorded = Signal()


def record(
    action: str,
    *,
    actor: str,
    service_name: str = "",
    data: Mapping[str, Any] | None = None,
    at: dt.datetime,
) -> None:
    """Append an entry in the transaction of the change."""
    recorded.send(
        None,
        action=action,
        actor=actor,
        service_name=service_name,
        data=plain(dict(data or {})),
        at=at,
    )


def plain(value: Any) -> Any:
    """Return the value as JSON that PostgreSQL gives back in the same spelling: without fractions."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def masked(sealed: str) -> str:
    """Return a mark for a sealed secret: empty without one, another one for another ciphertext."""
    return f"*** ({hashlib.sha256(sealed.encode()).hexdigest()[:8]})" if sealed else ""
