"""The document as JSON, and a page to read it."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from saga_project.shared import api
from saga_project.web.openapi import auto_schema


@functools.cache
def document(auth: str) -> bytes:
    """Return the document of a mode as JSON; it does not change while the process runs."""
    generator: Any = SchemaGenerator
    mode = auto_schema.MODE.set(auth)
    try:
        return orjson.dumps(generator().get_schema(request=None, public=True))
    finally:
        auto_schema.MODE.reset(mode)


class SchemaView(api.SagaView):
    required_scopes: ClassVar[dict[str, str]] = {}

    @extend_schema(
        operation_id="schema",
        summary="This document",
        tags=["documentation"],
        responses={200: {"type": "object"}},
    )
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document(settings.SAGA_AUTH), content_type="application/json")


class DocsView(api.SagaView):
    required_scopes: ClassVar[dict[str, str]] = {}

    @extend_schema(
        operation_id="docs",
        summary="This document, to read and try",
        tags=["documentation"],
        responses={(200, "text/html"): OpenApiResponse({"type": "string"}, "A page.")},
    )
    def get(self, request: Request) -> HttpResponse:
        plain: HttpRequest = request._request  # noqa: SLF001  (DRF's way to the request of Django)
        return render(plain, "docs.html")
