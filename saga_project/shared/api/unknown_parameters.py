"""Query parameters that a route does not declare.

A route declares its parameters once, for the OpenAPI document (``extend_schema``); what is read here is that.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from saga_project.shared.api import parameters

WARNING_HEADER = "X-Saga-Warning"
MAX_NAMED = 10
MAX_LENGTH = 64
MAX_HEADER_LENGTH = 4096


def unknown(view: APIView, request: Request) -> list[str]:
    """Return the names of the request's parameters that its route does not declare, as they came.

    None where the route does not have the method: that is what its caller must know.
    """
    method = "get" if request.method == "HEAD" else (request.method or "").lower()
    if not request.query_params or method == "options" or not hasattr(view, method):
        return []
    known = _declared_by(view, method)
    return [name for name in request.query_params if name not in known]


def _declared_by(view: APIView, method: str) -> frozenset[str]:
    handler: Any = getattr(view, method, None)
    return _declared(handler.__func__) if hasattr(handler, "__func__") else frozenset()


@functools.cache
def _declared(handler: Any) -> frozenset[str]:
    schema_class = getattr(handler, "kwargs", {}).get("schema")
    if schema_class is None:
        return frozenset()
    schema = schema_class()
    schema.view = APIView()
    schema.view.request, schema.view.kwargs = None, {}
    return frozenset(
        parameter.name
        for parameter in schema.get_override_parameters()
        if isinstance(parameter, OpenApiParameter) and parameter.location == "query"
    )


def warning(names: Iterable[str]) -> str:
    """Return the header that names them; any character that a header cannot hold is percent-encoded."""
    shown = [quote(name[:MAX_LENGTH], safe="[]") for name in names][:MAX_NAMED]
    return f"Unknown query parameters: {', '.join(shown)}"


def header_of(sentences: Iterable[str]) -> dict[str, str]:
    """Return the warning's header with these sentences, empty without any."""
    text = quote(" ".join(sentences), safe=" !\"#$%&'()*+,/:;<=>?@[]^`{|}~")
    return {WARNING_HEADER: text[:MAX_HEADER_LENGTH]} if text else {}


def refusal(names: list[str], view: APIView, request: Request) -> parameters.InvalidParameter:
    """Return the error that names the first of them and what there is instead."""
    known = sorted(_declared_by(view, (request.method or "").lower()))
    there_are = f"there are {', '.join(known)}" if known else "there are none"
    return parameters.InvalidParameter(
        f"'{names[0][:MAX_LENGTH]}' is no parameter of this route; {there_are}.", field=names[0]
    )
