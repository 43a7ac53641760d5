"""Webhooks at GitHub that lead here; the token is write-only."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from registry.api.configured import ConfiguredViewSet
from saga_project.shared import crypto
from saga_project.shared.api import fields, resources
from webhooks.models import GitHubHook
from webhooks.operations import hooks

MANAGE = "webhooks:manage"


class GitHubHookShape(resources.RowShape):
    #: A stored token never goes to another host than the one that it was given for.
    fixed = ("api_url",)
    hook_id = fields.WholeField(
        min_value=1, max_value=2**63 - 1, help_text="The last number in its address at GitHub."
    )
    has_token = serializers.SerializerMethodField(help_text="The token itself is never shown.")
    token = fields.TextField(
        write_only=True,
        required=False,
        allow_blank=True,
        max_length=512,
        help_text="Reads the repository's webhooks. Kept when absent, removed when empty.",
    )

    class Meta:
        model = GitHubHook
        fields = (
            "id",
            "repository",
            "hook_id",
            "api_url",
            "is_enabled",
            "has_token",
            "token",
            "checked_at",
            "error",
        )
        read_only_fields = ("checked_at", "error")

    def get_has_token(self, row: GitHubHook) -> bool:
        return bool(row.sealed_token)


class GitHubHookFilters(django_filters.FilterSet):
    repository = django_filters.CharFilter(max_length=255)


class GitHubHookViewSet(ConfiguredViewSet):
    """Webhooks at GitHub: what they could not deliver while Saga was down is asked for afterwards."""

    required_scopes = {"GET": MANAGE, "POST": MANAGE, "PATCH": MANAGE, "DELETE": MANAGE}
    #: They concern every service, and in open mode too, setting one takes a token.
    requires_token = True
    kind = hooks.GITHUB_HOOK
    serializer_class = GitHubHookShape
    pagination_class = resources.pages("github_hooks")
    filterset_class = GitHubHookFilters
    queryset = GitHubHook.objects.all()

    def columns(self, row: Any, values: dict[str, Any]) -> dict[str, Any]:
        columns = {name: value for name, value in values.items() if name != "token"}
        if "token" in values:
            columns["sealed_token"] = crypto.encrypt(values["token"]) if values["token"] else ""
        return columns
