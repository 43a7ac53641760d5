"""Marks the pages of rows that an applied file manages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse

from registry.models import manager_of


class MarksManaged(admin.ModelAdmin):  # type: ignore[type-arg]
    """Says on a row's page that the next apply of its file overwrites what is changed here."""

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        *args: Any,
        **options: Any,
    ) -> HttpResponse:
        row = options.get("obj")
        if row is not None and request.method == "GET" and (name := manager_of(row)):
            messages.info(
                request, f"Managed by the file {name}: its next apply overwrites changes made here."
            )
        return super().render_change_form(request, context, *args, **options)
