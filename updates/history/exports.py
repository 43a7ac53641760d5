"""History as documents to keep: rows in, bytes out, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from django.db.models import F, Func, TextField, Value
from django.db.models.expressions import Combinable

from saga_project.shared import api
from updates.history import records


def document(row: records.Row) -> dict[str, Any]:
    """Return an entry as the API shows it."""
    return dict(zip(records.COLUMNS, row, strict=True))


def as_json(
    service_name: str | None, total: int, chunks: Iterator[list[records.Row]]
) -> Iterator[bytes]:
    """Yield the document that the history endpoint would answer, without a limit."""
    head = b"{" if service_name is None else b'{"service_name":' + orjson.dumps(service_name) + b","
    yield head + b'"history":['
    separator = b""
    for chunk in chunks:
        yield separator + orjson.dumps([document(row) for row in chunk])[1:-1]
        separator = b","
    yield b'],"total":' + orjson.dumps(total) + b"}"


# --- CSV ------------------------------------------------------------------------------------------


class _Cell(Func):
    """A text as RFC 4180 has it; one that a spreadsheet would take for a formula has a quote before it."""

    output_field = TextField()
    template = """CASE WHEN %(expressions)s ~ '^[-=+@\\t\\r]|[",\\r\\n]' THEN (
        SELECT CASE WHEN safe ~ '[",\\r\\n]' THEN '"' || replace(safe, '"', '""') || '"' ELSE safe END
        FROM regexp_replace(%(expressions)s, '^(?=[-=+@\\t\\r])', '''') AS safe
    ) ELSE coalesce(%(expressions)s, '') END"""


class _Number(Func):
    output_field = TextField()
    template = "coalesce(%(expressions)s::text, '')"


CSV_COLUMNS: dict[str, Combinable] = {
    "Service Name": _Cell(F("service_name")),
    "Old Version": _Cell(F("old_version")),
    "New Version": _Cell(F("new_version")),
    "Timestamp": api.Zulu("timestamp"),
    "Status": F("status"),
    "Duration (seconds)": _Number(F("duration_seconds")),
    "Artifact URL": _Cell(F("artifact_url")),
    "Checksum": _Cell(F("checksum")),
}
#: PostgreSQL makes the lines: of a million rows that takes a fifth of what it takes here.
CSV_LINE = Func(Value(","), *CSV_COLUMNS.values(), function="concat_ws", output_field=TextField())
_END_OF_LINE = "\r\n"


def as_csv(chunks: Iterator[list[records.Row]]) -> Iterator[bytes]:
    """Yield RFC 4180 out of rows of ``CSV_LINE``: a header, CRLF, quotes where they are needed."""
    yield f"{','.join(CSV_COLUMNS)}{_END_OF_LINE}".encode()
    for chunk in chunks:
        yield "".join(f"{line}{_END_OF_LINE}" for (line,) in chunk).encode()
