"""Filters of the list of services: labels, what instances offer, where they are, which version runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from registry.models import Instance, Service
from saga_project.shared import labels, versions

STATES = ("up", "degraded", "expired", "pending", "rejected", "left")
CAPABILITIES = ("rest", "graphql", "grpc", "mcp")
#: A list offers so many zones, and reads so many versions.
MAX_ZONES = 50
MAX_VERSIONS = 10_000

LABELS_OFFERED = 20
_FREQUENT_LABELS = """
    SELECT each.key, each.value FROM registry_service, jsonb_each_text(labels) AS each
    WHERE labels <> '{}' GROUP BY each.key, each.value ORDER BY count(*) DESC, 1, 2 LIMIT %s
"""


def _with_live(rows: QuerySet[Any], **conditions: Any) -> QuerySet[Any]:
    """Return the services of which a live instance meets the conditions."""
    live = Instance.objects.live().filter(service=OuterRef("pk"), **conditions)
    return rows.filter(Exists(live))


class StateFilter(admin.SimpleListFilter):
    """The word that the dashboard counts by."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word.capitalize()) for word in STATES]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        word = self.value()
        return queryset.filter(state=word) if word else queryset


class LabelFilter(admin.SimpleListFilter):
    """The labels that services carry, most frequent first; the address takes any selector."""

    title = "label"
    parameter_name = "label"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(_FREQUENT_LABELS, [LABELS_OFFERED])
            found = [f"{key}={value}" for key, value in cursor.fetchall()]
        given = request.GET.get(self.parameter_name)
        if given and given not in found and labels.SELECTOR.allows(given):
            found.insert(0, given)
        return [(text, text) for text in found]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        text = self.value()
        if not text:
            return queryset
        if not labels.SELECTOR.allows(text):
            return queryset.none()
        return queryset.filter(labels.parse(text).condition())


class CapabilityFilter(admin.SimpleListFilter):
    title = "capability"
    parameter_name = "capability"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word) for word in CAPABILITIES]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        word = self.value()
        return _with_live(queryset, capabilities__contains=[word]) if word else queryset


class ZoneFilter(admin.SimpleListFilter):
    title = "zone"
    parameter_name = "zone"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        zones = Instance.objects.live().exclude(zone="").values_list("zone", flat=True)
        return [(zone, zone) for zone in zones.distinct().order_by("zone")[:MAX_ZONES]]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        zone = self.value()
        return _with_live(queryset, zone=zone) if zone else queryset


class VersionRangeFilter(admin.SimpleListFilter):
    """A range to write, such as ``>=1.4,<2``."""

    title = "version range"
    parameter_name = "version_range"
    template = "admin/registry/version_range.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("", "")]  # what is written is a choice of its own

    def value(self) -> str | None:
        text = self.used_parameters.get(self.parameter_name)
        return str(text).strip() if text else None

    def choices(self, changelist: Any) -> Iterator[Any]:
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in ([values] if isinstance(values, str) else values)
            if name != self.parameter_name
        ]
        yield {"others": others, "value": self.value() or ""}

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        text = self.value()
        if not text:
            return queryset
        try:
            wanted = versions.parse_range(text[:256])
        except versions.RangeError as exc:
            messages.error(request, f"This is no range of versions: {exc}")
            return queryset.none()
        known = Service.objects.exclude(version="").values_list("version", flat=True)
        fitting = [each for each in known.distinct()[:MAX_VERSIONS] if wanted.allows(each)]
        return queryset.filter(version__in=fitting)
