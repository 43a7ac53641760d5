"""Lists of the admin as files: what a list shows with its filters, as CSV or JSON, by session."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import orjson
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path

from saga_project.shared.admin.readonly import Journal

#: The newest so many: the rest is the API's, which reads in pages.
MAX_ROWS = 100_000
CHUNK = 1000
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
#: How a cell begins that a spreadsheet would run.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")

Column = Callable[[Any], Any]


class ExportedJournal(Journal):
    """A journal with links to its rows as files."""

    #: Names of attributes, or of columns with what they show of a row; no secret may be among them.
    export_columns: ClassVar[Mapping[str, Column]] = {}
    export_forms = tuple(CONTENT_TYPES)
    export_related: ClassVar[tuple[str, ...]] = ()

    def get_urls(self) -> list[URLPattern]:
        options = self.model._meta
        view = self.admin_site.admin_view(self.export)
        name = f"{options.app_label}_{options.model_name}_export"
        return [path("export/<str:form>/", view, name=name), *super().get_urls()]

    def export(self, request: HttpRequest, form: str) -> HttpResponse | StreamingHttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if form not in CONTENT_TYPES:
            raise Http404
        try:
            chosen = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters as exc:
            raise Http404("The filter cannot be read.") from exc
        keys = list(chosen.values_list("pk", flat=True)[:MAX_ROWS])
        rows = self._rows(keys)
        body = _as_csv(rows, self.export_columns) if form == "csv" else _as_json(rows)
        name = f"{self.model._meta.model_name}.{form}"
        return StreamingHttpResponse(
            body,
            content_type=CONTENT_TYPES[form],
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _rows(self, keys: list[Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows by name of column; no connection is held while a slow reader takes its time."""
        manager: Any = self.model._meta.default_manager
        for first in range(0, len(keys), CHUNK):
            page = keys[first : first + CHUNK]
            found = manager.select_related(*self.export_related).in_bulk(page)
            for key in page:
                if key in found:  # it may have been purged meanwhile
                    row = found[key]
                    yield {name: read(row) for name, read in self.export_columns.items()}


def columns(*names: str, **made: Column) -> dict[str, Column]:
    """Return columns that show an attribute of the row, and others."""
    return {**{name: _attribute(name) for name in names}, **made}


def _attribute(name: str) -> Column:
    return lambda row: getattr(row, name)


def _as_json(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    separator = b"["
    for row in rows:
        yield separator + orjson.dumps(row, default=str)
        separator = b",\n"
    yield b"]" if separator != b"[" else b"[]"


def _as_csv(rows: Iterator[dict[str, Any]], names: Mapping[str, Column]) -> Iterator[bytes]:
    """Yield RFC 4180; a cell that a spreadsheet would run as a formula has a quote before it."""
    yield _line(list(names))
    for row in rows:
        yield _line([_cell(value) for value in row.values()])


def _line(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dict | list):
        value = orjson.dumps(value, default=str).decode()
    text = str(value)
    return f"'{text}" if text.startswith(FORMULAS) else text
