"""Webhooks at GitHub with deliveries to recover; the token is write-only."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget

from saga_project.shared import crypto, http_client
from webhooks.models import GitHubHook

_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", re.ASCII)


class GitHubHookForm(forms.ModelForm):  # type: ignore[type-arg]
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

    def clean_repository(self) -> str:
        repository: str = self.cleaned_data["repository"]
        if _REPOSITORY.fullmatch(repository) is None:
            raise forms.ValidationError("A repository is owner/name.")
        return repository

    def clean_api_url(self) -> str:
        url: str = self.cleaned_data["api_url"]
        try:
            http_client.check_url(url, field="api_url")
        except http_client.InvalidUrl as exc:
            raise forms.ValidationError(exc.message) from exc
        return url


@admin.register(GitHubHook)
class GitHubHookAdmin(ModelAdmin):
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
