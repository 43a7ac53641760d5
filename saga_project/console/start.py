"""The first run: from nothing to a registered service in one copy and paste."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from registry.models import Service
from saga_project.console import fragments, snippets


def is_needed() -> bool:
    return not Service.objects.exists()


def view(request: HttpRequest) -> HttpResponse:
    return page(request, admin.site.each_context(request))


def page(request: HttpRequest, site: dict[str, Any]) -> HttpResponse:
    is_first_run = is_needed()
    if request.headers.get(fragments.FRAGMENT_HEADER):
        return _still_waiting(is_first_run=is_first_run)
    found = snippets.of("hello", version="1.0.0", base=snippets.base_of(request))
    context = {**site, "title": "Start here", "snippets": found, "is_first_run": is_first_run}
    return TemplateResponse(request, "console/start.html", context)


def _still_waiting(*, is_first_run: bool) -> HttpResponse:
    """Send the waiting page on as soon as the first service is there."""
    response = HttpResponse(status=204)
    if not is_first_run:
        response[fragments.ONWARD_HEADER] = reverse("admin:index")
    return response
