"""Lists in pages of at most 1,000 rows; ``next`` and ``previous`` are the addresses of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from rest_framework import exceptions, pagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from saga_project.shared import errors
from saga_project.shared.api import parameters


class InvalidPageCursor(errors.InvalidRequest):
    error = "Invalid cursor"


class CursorPages(pagination.CursorPagination):
    """Pages that neither repeat nor skip rows while others are written."""

    #: The name of the list in the answer.
    plural = "results"
    max_page_size = 1000

    def get_page_size(self, request: Request) -> int:
        return parameters.read_limit(request) or 100

    def decode_cursor(self, request: Request) -> Any:
        try:
            return super().decode_cursor(request)
        except exceptions.NotFound:
            raise _invalid() from None

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError):
            raise _invalid() from None

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                self.plural: data,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": [self.plural, "next", "previous"],
            "properties": {self.plural: schema, "next": link, "previous": link},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
        cursor = {"type": "string", "description": "Out of `next` or `previous`."}
        return [
            {"name": "limit", "in": "query", "schema": limit},
            {"name": "cursor", "in": "query", "schema": cursor},
        ]


def _invalid() -> InvalidPageCursor:
    return InvalidPageCursor(
        "'cursor' must come out of 'next' or 'previous' of another page.", field="cursor"
    )


def pages(plural: str, *, ordering: str | tuple[str, ...] = "id") -> type[CursorPages]:
    """Return the pages of a resource: the name of its list, and the fields that order it."""
    members = {"plural": plural, "ordering": ordering}
    return type(f"{plural.capitalize()}Pages", (CursorPages,), members)


def page_of(
    request: Request, rows: Any, *, by: type[CursorPages], shown: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return a page of a list that came with ``offset`` and ``total`` before there were cursors.

    With ``offset`` the links count rows; else they are cursors. Raises InvalidParameter for both at once.
    """
    total, pages_of = rows.count(), by()
    if "offset" not in request.query_params:
        page = [shown(row) for row in pages_of.paginate_queryset(rows, request) or []]
        links = pages_of.get_next_link(), pages_of.get_previous_link()
    else:
        if "cursor" in request.query_params:
            raise parameters.InvalidParameter("Send 'cursor' or 'offset'.", field="cursor")
        limit, offset = pages_of.get_page_size(request), parameters.read_offset(request)
        page = [shown(row) for row in rows.order_by(*by.ordering)[offset : offset + limit]]
        links = _offset_links(request, limit=limit, offset=offset, total=total)
    return {by.plural: page, "total": total, "next": links[0], "previous": links[1]}


def _offset_links(
    request: Request, *, limit: int, offset: int, total: int
) -> tuple[str | None, str | None]:
    address = request.build_absolute_uri()
    after, before = offset + limit, max(offset - limit, 0)
    return (
        replace_query_param(address, "offset", after) if after < total else None,
        replace_query_param(address, "offset", before) if offset else None,
    )
