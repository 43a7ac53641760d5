"""Where releases are published."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget

from saga_project import crypto
from updates.models import Source


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]
    token = forms.CharField(
        required=False,
        max_length=1024,
        widget=UnfoldAdminPasswordWidget(render_value=False),
        help_text="Kept encrypted and never shown; empty keeps the one that is there.",
    )


@admin.register(Source)
class SourceAdmin(ModelAdmin):
    form = SourceForm
    list_display = [
        "service",
        "kind",
        "location",
        "is_enabled",
        "last_checked_at",
        "last_version",
        "failures",
        "last_error",
    ]
    list_select_related = ["service"]
    list_filter = ["kind", "is_enabled"]
    search_fields = ["=service__name", "location"]
    autocomplete_fields = ["service"]
    readonly_fields = ["last_checked_at", "last_version", "last_error", "failures"]

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        if token := form.cleaned_data.get("token"):
            obj.sealed_token = crypto.encrypt(token)
        super().save_model(request, obj, form, change)
