"""When changes are welcome."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from updates.admin.audited import AuditedAdmin, ConfiguredForm
from updates.models import Freeze, MaintenanceWindow
from updates.operations import settings

EVERY_SERVICE = "every service"


def applies_to(row: Freeze | MaintenanceWindow) -> str:
    if row.service is not None:
        return row.service.name
    return f"labels {row.selector}" if row.selector else EVERY_SERVICE


class WindowForm(ConfiguredForm):
    kind = settings.WINDOW
    weekdays = forms.TypedMultipleChoiceField(
        choices=MaintenanceWindow.Weekday.choices,
        coerce=int,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="On which it opens; none means every day.",
    )

    class Meta:
        labels = {"is_enabled": "Enabled", "duration_minutes": "Minutes"}
        help_texts = {
            "duration_minutes": "How long it stays open.",
            "time_zone": "IANA name, such as Europe/Berlin.",
        }


class FreezeForm(ConfiguredForm):
    kind = settings.FREEZE

    class Meta:
        help_texts = {
            "time_zone": "IANA name, such as Europe/Berlin: both times are on its wall clock.",
            "reason": "Shown with every change that the freeze rejects.",
        }


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(AuditedAdmin):
    kind = settings.WINDOW
    form = WindowForm
    list_display = (
        "name",
        "applies_to",
        "days",
        "opens_at",
        "duration_minutes",
        "time_zone",
        "is_enabled",
    )
    list_filter = ("is_enabled", "time_zone")
    search_fields = ("name", "service__name", "selector")
    autocomplete_fields = ("service",)

    @display(description="Of", ordering="service__name")
    def applies_to(self, window: MaintenanceWindow) -> str:
        return applies_to(window)

    @display(description="Days")
    def days(self, window: MaintenanceWindow) -> str:
        names = [MaintenanceWindow.Weekday(day).label[:3] for day in sorted(window.weekdays)]
        return ", ".join(names) or "every day"


@admin.register(Freeze)
class FreezeAdmin(AuditedAdmin):
    kind = settings.FREEZE
    form = FreezeForm
    list_display = ("name", "applies_to", "begins", "ends", "time_zone", "reason")
    search_fields = ("name", "service__name", "selector", "reason")
    date_hierarchy = "starts_on"
    autocomplete_fields = ("service",)
    fields = (
        "service",
        "selector",
        "name",
        ("starts_on", "starts_at"),
        ("ends_on", "ends_at"),
        "time_zone",
        "reason",
    )

    @display(description="Of", ordering="service__name")
    def applies_to(self, freeze: Freeze) -> str:
        return applies_to(freeze)

    @display(description="Begins", ordering="starts_on")
    def begins(self, freeze: Freeze) -> str:
        return f"{freeze.starts_on} {freeze.starts_at:%H:%M}"

    @display(description="Ends", ordering="ends_on")
    def ends(self, freeze: Freeze) -> str:
        return f"{freeze.ends_on} {freeze.ends_at:%H:%M}"
