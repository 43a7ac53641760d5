"""The audit trail as a file: JSON Lines, each line what the digest was computed from, or CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.db.models import QuerySet

from updates.models import AuditEntry

CHUNK = 1000
COLUMNS = (
    "sequence",
    "at",
    "actor",
    "action",
    "service_name",
    "request_id",
    "address",
    "token",
    "data",
    "previous_digest",
    "digest",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def chunks(rows: QuerySet[AuditEntry]) -> Iterator[list[AuditEntry]]:
    """Yield the entries, the oldest first, in pages, so that any number of them takes little memory."""
    last = 0
    while page := list(rows.filter(sequence__gt=last).order_by("sequence")[:CHUNK]):
        yield page
        last = page[-1].sequence


def document(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as the API shows it; ``at`` has the microseconds that its digest covers."""
    return {
        "sequence": entry.sequence,
        "at": entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "action": entry.action,
        "service_name": entry.service_name,
        "request_id": entry.data.get("request_id", ""),
        "address": entry.data.get("address", ""),
        "token": entry.data.get("token", ""),
        "data": entry.data,
        "previous_digest": entry.previous_digest,
        "digest": entry.digest,
    }


def as_json_lines(pages: Iterable[list[AuditEntry]]) -> Iterator[bytes]:
    for page in pages:
        yield b"".join(
            orjson.dumps(document(entry), option=orjson.OPT_APPEND_NEWLINE) for entry in page
        )


def as_csv(pages: Iterable[list[AuditEntry]]) -> Iterator[bytes]:
    """Yield RFC 4180; a cell that a spreadsheet would run as a formula has a quote before it."""
    yield f"{','.join(COLUMNS)}\r\n".encode()
    for page in pages:
        text = io.StringIO()
        csv.writer(text).writerows([_cells(document(entry)) for entry in page])
        yield text.getvalue().encode()


def _cells(shown: dict[str, Any]) -> list[str]:
    texts = [*({**shown, "data": orjson.dumps(shown["data"]).decode()}).values()]
    return [f"'{text}" if str(text).startswith(_FORMULA) else str(text) for text in texts]
