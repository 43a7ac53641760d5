"""The console's addresses, all below /admin/ and all behind its login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from saga_project.console import start

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]


def patterns(guard: Guard) -> list[URLPattern | URLResolver]:
    """Return the addresses; ``guard`` asks for a member of staff."""
    return [
        path("start/", guard(_start), name="console_start"),
    ]


def _start(request: HttpRequest) -> TemplateResponse:
    return start.page(request, admin.site.each_context(request))
