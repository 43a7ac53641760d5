"""What hosts want to see before they hand out artifacts; a secret is never shown again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget

from saga_project.shared import crypto
from updates.admin.audited import AuditedAdmin
from updates.models import Credential
from updates.operations import settings
from updates.releases import credentials


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]
    secret = forms.CharField(
        required=False,
        widget=UnfoldAdminPasswordWidget(render_value=False),
        help_text="The token or password. Stored encrypted, never shown; empty keeps what is stored.",
    )

    class Meta:
        model = Credential
        fields = ("host", "service", "kind", "username", "header_name", "is_http_allowed")
        labels = {"header_name": "Header", "is_http_allowed": "Send over http"}

    def clean_host(self) -> str:
        return str(self.cleaned_data["host"]).strip().lower()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        candidate = Credential(
            host=cleaned["host"],
            kind=cleaned["kind"],
            username=cleaned["username"],
            header_name=cleaned["header_name"],
        )
        secret = cleaned["secret"] or (self.instance.secret if self.instance.pk else "")
        if fault := credentials.fault(candidate, secret=secret):
            raise forms.ValidationError(fault)
        return cleaned


@admin.register(Credential)
class CredentialAdmin(AuditedAdmin):
    kind = settings.CREDENTIAL
    form = CredentialForm
    list_display = ("host", "service", "kind", "username", "updated_at")
    list_filter = ("kind",)
    search_fields = ("host", "service__name")
    autocomplete_fields = ("service",)
    fieldsets = (
        (None, {"fields": ("host", "service", "is_http_allowed")}),
        ("What is sent", {"fields": ("kind", "username", "header_name", "secret")}),
    )

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        if secret := form.cleaned_data["secret"]:
            obj.sealed_secret = crypto.encrypt(secret)
        super().save_model(request, obj, form, change)
