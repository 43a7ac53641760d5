"""The first run: from nothing to a registered service in one copy and paste."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse

from registry.models import Service
from saga_project.console import snippets


def is_needed() -> bool:
    return not Service.objects.exists()


def page(request: HttpRequest, site: dict[str, Any]) -> TemplateResponse:
    found = snippets.of("hello", version="1.0.0", base=snippets.base_of(request))
    context = {**site, "title": "Start here", "snippets": found, "is_first_run": is_needed()}
    return TemplateResponse(request, "console/start.html", context)
