"""Credentials of the hosts that hand out artifacts; the secret is write-only."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from registry.api.configured import (
    ConfiguredViewSet,
    ServiceFilter,
    ServiceNameField,
    owned_or_unowned,
)
from saga_project.shared import crypto
from saga_project.shared.api import fields, resources
from updates.models import Credential
from updates.operations import settings

READ, WRITE = "updates:read", "targets:write"


class CredentialShape(resources.RowShape):
    #: A stored secret never goes to another host than the one that it was given for.
    fixed = ("service_name", "host")
    service_name = ServiceNameField(
        source="service",
        required=False,
        allow_null=True,
        help_text="Null: for the artifacts of all services.",
    )
    secret = fields.TextField(
        write_only=True,
        max_length=4096,
        help_text="The token or password. Kept encrypted, never shown.",
    )

    class Meta:
        model = Credential
        fields = (
            "id",
            "host",
            "service_name",
            "kind",
            "username",
            "header_name",
            "is_http_allowed",
            "secret",
            "updated_at",
        )
        read_only_fields = ("updated_at",)


class CredentialFilters(django_filters.FilterSet):
    service = ServiceFilter()
    host = django_filters.CharFilter(max_length=260)


class CredentialViewSet(ConfiguredViewSet):
    """What a host wants to see before it hands out artifacts: for one service, or for all."""

    required_scopes = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}
    #: In open mode too, reading or setting one takes a token.
    requires_token = True
    kind = settings.CREDENTIAL
    serializer_class = CredentialShape
    pagination_class = resources.pages("credentials")
    filterset_class = CredentialFilters
    queryset = Credential.objects.select_related("service")

    def get_queryset(self) -> QuerySet[Credential]:
        return super().get_queryset().filter(owned_or_unowned(self.caller))

    def columns(self, row: Any, values: dict[str, Any]) -> dict[str, Any]:
        columns = {name: value for name, value in values.items() if name != "secret"}
        if "secret" in values:
            columns["sealed_secret"] = crypto.encrypt(values["secret"])
        return columns
