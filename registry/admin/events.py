"""Events in the admin, read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator

from registry.models import Event
from saga_project.shared.admin import readonly

KINDS = (
    ("service.", "Services"),
    ("health.", "Health"),
    ("lifecycle.", "Lifecycle"),
    ("release.", "Releases"),
    ("update.", "Updates"),
    ("deployment.", "Deployments"),
    ("webhook.", "Webhooks"),
    ("delivery.", "Deliveries"),
)


class KindFilter(admin.SimpleListFilter):
    """By the first word of the type: the types themselves would cost a scan to list."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, str], ...]:
        return KINDS

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        kind = self.value()
        return queryset.filter(type__startswith=kind) if kind else queryset


@admin.register(Event)
class EventAdmin(readonly.ReadOnly):
    list_display = ("occurred_at", "type", "service_name", "data")
    list_filter = (KindFilter,)
    paginator = InfinitePaginator
    list_per_page = 50
    search_fields = ("=service_name", "=type")
    search_help_text = "A service's name or an event's type, in full."
    date_hierarchy = "occurred_at"
    ordering = ("-transaction", "-id")
    show_full_result_count = False
