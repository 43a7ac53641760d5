"""History as documents to keep: rows in, bytes out, a chunk at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import orjson

from saga_project import api
from updates import history

CSV_COLUMNS = {
    "Service Name": "service_name",
    "Old Version": "old_version",
    "New Version": "new_version",
    "Timestamp": "timestamp",
    "Status": "status",
    "Duration (seconds)": "duration_seconds",
    "Artifact URL": "artifact_url",
    "Checksum": "checksum",
}
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_TIMESTAMP = history.COLUMNS.index("timestamp")


def document(row: history.Row) -> dict[str, Any]:
    """Return an entry as the API shows it."""
    entry: dict[str, Any] = dict(zip(history.COLUMNS, row, strict=True))
    entry["timestamp"] = api.zulu(entry["timestamp"])
    return entry


def as_json(
    service_name: str | None, total: int, chunks: Iterator[list[history.Row]]
) -> Iterator[bytes]:
    """Yield the document that the history endpoint would answer, were it let to answer so much."""
    head = b"{" if service_name is None else b'{"service_name":' + orjson.dumps(service_name) + b","
    yield head + b'"history":['
    separator = b""
    for chunk in chunks:
        yield separator + b",".join(orjson.dumps(document(row)) for row in chunk)
        separator = b","
    yield b'],"total":' + orjson.dumps(total) + b"}"


def as_csv(chunks: Iterator[list[history.Row]]) -> Iterator[bytes]:
    """Yield RFC 4180: a header, CRLF, quotes where they are needed; no cell is a formula."""
    places = [history.COLUMNS.index(name) for name in CSV_COLUMNS.values()]
    yield _lines([list(CSV_COLUMNS)])
    for chunk in chunks:
        yield _lines([[_cell(row[place]) for place in places] for row in map(_readable, chunk)])


def _readable(row: history.Row) -> history.Row:
    moment: Any = row[_TIMESTAMP]
    return (*row[:_TIMESTAMP], api.zulu(moment), *row[_TIMESTAMP + 1 :])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _lines(rows: list[list[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode()
