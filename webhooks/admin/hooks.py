"""Webhooks at GitHub with deliveries to recover; the token is write-only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget

from saga_project.shared import crypto
from updates.admin.audited import AuditedAdmin, ConfiguredForm
from webhooks.models import GitHubHook
from webhooks.operations import hooks


class GitHubHookForm(ConfiguredForm):
    kind = hooks.GITHUB_HOOK
    token = forms.CharField(
        required=False,
        max_length=512,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Needs to read the repository's webhooks. Empty: kept as it is.",
    )

    class Meta:
        model = GitHubHook
        fields = ("repository", "hook_id", "api_url", "is_enabled")
        labels = {"hook_id": "Hook's number", "api_url": "API URL", "is_enabled": "Enabled"}
        help_texts = {
            "repository": "owner/name",
            "hook_id": "The last number in the address of the webhook's page at GitHub.",
        }


@admin.register(GitHubHook)
class GitHubHookAdmin(AuditedAdmin):
    kind = hooks.GITHUB_HOOK
    list_select_related = False
    form = GitHubHookForm
    list_display = ("repository", "hook_id", "is_enabled", "checked_at", "error")
    list_filter = ("is_enabled",)
    search_fields = ("repository",)
    readonly_fields = ("has_token", "checked_at", "error")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if form.cleaned_data["token"]:
            obj.sealed_token = crypto.encrypt(form.cleaned_data["token"])
        super().save_model(request, obj, form, change)

    @display(description="Token", boolean=True)
    def has_token(self, row: GitHubHook) -> bool:
        return bool(row.sealed_token)
