"""Read what is configured; the POST beside it is a webhook route."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.identity import accounts
from saga_project.shared import api, http_client, rules
from saga_project.shared.api import fields
from webhooks import operations
from webhooks.api.routes import WebhookView
from webhooks.errors import ConfigurationNotFound
from webhooks.models import GLOBAL


class ConfigurationSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField(allow_null=True)
    endpoints = serializers.DictField(child=serializers.CharField())
    configured_at = serializers.DateTimeField(allow_null=True)


class ConfigurationView(WebhookView):
    """A signature of the secret does not allow to change the secret: that takes a token."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "webhooks:manage"}
    further_statuses: ClassVar[dict[str, tuple[int, ...]]] = {"GET": (404,)}

    @extend_schema(
        operation_id="webhook_configuration",
        summary="Read a service's configuration, or the global one; others see masked URLs",
        tags=["webhooks"],
        parameters=[
            fields.text_parameter(
                "service_name", "Default: the global configuration.", rule=rules.SERVICE_NAME
            )
        ],
        responses={200: ConfigurationSerializer},
    )
    def get(self, request: Request) -> Response:
        name = request.query_params.get("service_name")
        if name is not None:
            names.check_service_name(name)
        row = operations.find_configuration(name or GLOBAL)
        if row is None and name is not None:
            raise ConfigurationNotFound(f"Service '{name}' has no webhook configuration.")
        endpoints = row.endpoints.all() if row is not None else []
        is_shown = row is None or operations.may_configure(row, by=accounts.caller_of(request.user))
        return Response(
            {
                "service_name": name,
                "endpoints": {
                    endpoint.channel: endpoint.url if is_shown else http_client.masked(endpoint.url)
                    for endpoint in endpoints
                },
                "configured_at": api.zulu(row.configured_at) if row is not None else None,
            }
        )
