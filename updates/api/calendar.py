"""Maintenance windows and change freezes, of one service or of all."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registry.api.configured import ConfiguredViewSet, ServiceFilter, ServiceNameField
from saga_project.shared.api import fields, resources
from updates.models import Freeze, MaintenanceWindow
from updates.operations import settings

READ, WRITE = "updates:read", "calendar:write"
SCOPES = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}


#: Of all rows that select services.
SELECTOR_HELP = "Of services with such labels, such as env=prod,team=pay; null: none."
WALL_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"


@extend_schema_field({"type": "string", "pattern": WALL_TIME})
class WallTimeField(serializers.TimeField):
    """A time on the wall clock of a time zone, which another field names."""

    def to_internal_value(self, value: Any) -> dt.time:
        if not isinstance(value, str) or re.fullmatch(WALL_TIME, value) is None:
            self.fail("invalid", format="HH:MM or HH:MM:SS")
        return dt.time.fromisoformat(value)


class WindowShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(
        source="service",
        required=False,
        allow_null=True,
        help_text="Null: of the services that the selector selects, or of every service.",
    )
    selector = fields.SelectorField(help_text=SELECTOR_HELP)
    weekdays = serializers.ListField(
        child=fields.WholeField(min_value=0, max_value=6),
        required=False,
        max_length=7,
        help_text="0 is Monday; empty means every day.",
    )

    opens_at = WallTimeField(help_text="On the wall clock of the time zone.")
    duration_minutes = fields.WholeField(min_value=1, max_value=7 * 24 * 60)

    class Meta:
        model = MaintenanceWindow
        fields = (
            "id",
            "service_name",
            "selector",
            "name",
            "weekdays",
            "opens_at",
            "duration_minutes",
            "time_zone",
            "is_enabled",
        )


class FreezeShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(
        source="service",
        required=False,
        allow_null=True,
        help_text="Null: of the services that the selector selects, or of every service.",
    )
    selector = fields.SelectorField(help_text=SELECTOR_HELP)

    starts_at = WallTimeField(required=False)
    ends_at = WallTimeField(required=False)

    class Meta:
        model = Freeze
        fields = (
            "id",
            "service_name",
            "selector",
            "name",
            "starts_on",
            "starts_at",
            "ends_on",
            "ends_at",
            "time_zone",
            "reason",
        )


class CalendarFilters(django_filters.FilterSet):
    service = ServiceFilter()


class WindowViewSet(ConfiguredViewSet):
    """When updates of a service may begin; without any window, always."""

    required_scopes = SCOPES
    kind = settings.WINDOW
    serializer_class = WindowShape
    pagination_class = resources.pages("windows")
    filterset_class = CalendarFilters
    queryset = MaintenanceWindow.objects.select_related("service")


class FreezeViewSet(ConfiguredViewSet):
    """A time without changes, on the wall clock of its time zone."""

    required_scopes = SCOPES
    kind = settings.FREEZE
    serializer_class = FreezeShape
    pagination_class = resources.pages("freezes")
    filterset_class = CalendarFilters
    queryset = Freeze.objects.select_related("service")
