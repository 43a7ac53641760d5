"""Write and verify the audit trail.

Every entry holds the SHA-256 of its own content and of the entry before it, so that a row that was changed,
taken out or put in breaks the chain from there on. Only the end can be cut off unseen: note the last
digest elsewhere (``manage.py verify_audit`` prints it) to see that, too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from saga_project.shared import locks, origins
from updates.models import AuditEntry

#: JSON whose numbers are integers: PostgreSQL would give floats back in another spelling.
Data = Mapping[str, Any]
FIRST_DIGEST = "0" * 64


@dataclass(frozen=True)
class ChainVerdict:
    entries: int
    last_digest: str
    fault: str | None


def record(
    action: str, *, actor: str, service_name: str = "", data: Data | None = None, at: dt.datetime
) -> AuditEntry:
    """Append an entry inside the transaction of the change; writers go one after the other."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "An audit entry belongs to the transaction of its change."
        )
    locks.acquire(locks.Lock.AUDIT_CHAIN)
    last = AuditEntry.objects.order_by("-sequence").first()
    entry = AuditEntry(
        sequence=last.sequence + 1 if last else 1,
        at=at,
        actor=actor,
        action=action,
        service_name=service_name,
        data={**_origin(), **(data or {})},
        previous_digest=last.digest if last else FIRST_DIGEST,
    )
    entry.digest = digest(entry)
    entry.save(force_insert=True)
    return entry


def _origin() -> dict[str, str]:
    """Return what identifies the caller of the API among others of the same name."""
    origin = origins.current()
    found = {
        "request_id": origin.request_id,
        "address": origin.address,
        "token": origin.token_prefix,
    }
    return {name: value for name, value in found.items() if value}


def digest(entry: AuditEntry) -> str:
    content = [
        entry.sequence,
        entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        entry.actor,
        entry.action,
        entry.service_name,
        entry.data,
        entry.previous_digest,
    ]
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def verify(*, noted_digest: str | None = None) -> ChainVerdict:
    """Walk the whole chain and say where it breaks first, or that a noted digest is gone from it."""
    verdict = _walk()
    if verdict.fault is None and noted_digest and not _covers(noted_digest):
        fault = f"The entry with digest {noted_digest} is gone: the end was cut off."
        return dataclasses.replace(verdict, fault=fault)
    return verdict


def _walk() -> ChainVerdict:
    previous, count = FIRST_DIGEST, 0
    for entry in AuditEntry.objects.order_by("sequence").iterator(chunk_size=2000):
        if fault := _fault(entry, expected_sequence=count + 1, previous=previous):
            return ChainVerdict(entries=count, last_digest=previous, fault=fault)
        previous, count = entry.digest, count + 1
    return ChainVerdict(entries=count, last_digest=previous, fault=None)


def _fault(entry: AuditEntry, *, expected_sequence: int, previous: str) -> str | None:
    if entry.sequence != expected_sequence:
        return f"Entry {expected_sequence} is missing; {entry.sequence} follows."
    if entry.previous_digest != previous:
        return f"Entry {entry.sequence} does not continue the entry before it."
    if entry.digest != digest(entry):
        return f"Entry {entry.sequence} was changed after it was written."
    return None


def _covers(noted_digest: str) -> bool:
    return noted_digest == FIRST_DIGEST or AuditEntry.objects.filter(digest=noted_digest).exists()
