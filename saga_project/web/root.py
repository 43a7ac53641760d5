"""The address ``/``: a redirect to the console for browsers, links for programs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project.web import health


class RootView(health.OpenView):
    """Not in the OpenAPI document, which describes ``/api/v1``."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response | HttpResponseRedirect:
        plain: HttpRequest = request._request  # noqa: SLF001  (DRF's way to the request of Django)
        is_browser = plain.get_preferred_type(["application/json", "text/html"]) == "text/html"
        console = reverse("admin:index")
        answer = HttpResponseRedirect(console) if is_browser else Response(_links(console))
        patch_vary_headers(answer, ["Accept"])
        return answer


def _links(console: str) -> dict[str, Any]:
    return {
        "service": settings.SERVICE_NAME,
        "version": settings.SAGA_VERSION,
        "links": {
            "console": console,
            "api": "/api/v1",
            "docs": "/api/v1/docs",
            "schema": "/api/v1/schema",
            "health": "/api/v1/health",
            "metrics": "/metrics",
        },
    }
