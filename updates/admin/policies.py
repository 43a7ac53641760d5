"""What each service wants to happen with new releases, and when changes are welcome."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from saga_project import versions
from updates import strategies
from updates.models import Freeze, Hold, MaintenanceWindow, Policy


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_version_range(self) -> str:
        text: str = self.cleaned_data["version_range"]
        try:
            versions.parse_range(text)
        except versions.RangeError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return text

    def clean_strategy_options(self) -> dict[str, Any]:
        options = self.cleaned_data["strategy_options"] or {}
        if not isinstance(options, dict):
            raise forms.ValidationError('Write an object, such as {"max_unavailable": 1}.')
        try:
            strategies.read_options(options)
        except strategies.InvalidOptions as exc:
            raise forms.ValidationError(str(exc)) from exc
        return options


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    form = PolicyForm
    list_display = ["service", "kind", "version_range", "strategy", "channel", "updated_at"]
    list_select_related = ["service"]
    list_filter = ["kind", "strategy"]
    search_fields = ["=service__name"]
    search_help_text = "A service's whole name."
    autocomplete_fields = ["service"]


@admin.register(Hold)
class HoldAdmin(ModelAdmin):
    list_display = ["service", "version", "expires_at", "reason", "created_by"]
    list_select_related = ["service"]
    search_fields = ["=service__name"]
    autocomplete_fields = ["service"]

    def save_model(self, request: HttpRequest, obj: Hold, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user.get_username()
        super().save_model(request, obj, form, change)


@admin.register(MaintenanceWindow)
class WindowAdmin(ModelAdmin):
    list_display = ["name", "service", "opens_at", "duration_minutes", "time_zone", "is_enabled"]
    list_select_related = ["service"]
    list_filter = ["is_enabled"]
    autocomplete_fields = ["service"]


@admin.register(Freeze)
class FreezeAdmin(ModelAdmin):
    list_display = ["name", "service", "starts_on", "ends_on", "time_zone", "reason"]
    list_select_related = ["service"]
    autocomplete_fields = ["service"]
