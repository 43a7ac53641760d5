"""What PostgreSQL writes into a file of comma-separated values is what Python would."""

from __future__ import annotations

import csv
import io
import itertools

import pytest

from tests import factories
from updates.history import exports, records
from updates.models import HistoryEntry

pytestmark = pytest.mark.django_db

#: What ends cells and lines, what begins formulas, and what is neither.
CHARACTERS = ("a", "=", "+", "-", "@", "\t", "\r", "\n", '"', "'", ",", " ", "é", "\\")
TEXTS = ["".join(text) for size in range(4) for text in itertools.product(CHARACTERS, repeat=size)]


def _as_python_writes(text: str) -> str:
    safe = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(["", safe])
    return buffer.getvalue().removeprefix(",").removesuffix("\r\n")


def test_every_cell_is_quoted_as_pythons_writer_does_it() -> None:
    HistoryEntry.objects.bulk_create(
        factories.HistoryEntryFactory.build(
            service_name="payment", old_version=text, checksum=text, duration_seconds=None
        )
        for text in TEXTS
    )

    columns: list[records.Column] = [
        "checksum",
        exports.CSV_COLUMNS["Checksum"],
        exports.CSV_LINE,
    ]

    rows = records.stream(records.HistorySelection(), limit=None, columns=columns)

    for text, cell, line in itertools.chain.from_iterable(rows):
        assert cell == _as_python_writes(str(text))
        assert str(line).startswith(f"payment,{cell},")
        assert str(line).endswith(f",{cell}")


def test_a_file_is_read_back_as_it_was_written() -> None:
    factories.HistoryEntryFactory.create(
        service_name="payment", old_version=None, artifact_url='https://x/"a",b', checksum="c\r\nd"
    )

    lines = records.stream(records.HistorySelection(), limit=None, columns=[exports.CSV_LINE])
    body = b"".join(exports.as_csv(lines)).decode()

    header, row = csv.reader(io.StringIO(body, newline=""), strict=True)
    assert header == list(exports.CSV_COLUMNS)
    assert (row[0], row[1], row[6], row[7]) == ("payment", "", 'https://x/"a",b', "c\r\nd")
