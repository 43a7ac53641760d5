"""Register a service over HTTP."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import operations
from registry.identity import accounts
from saga_project.shared import api
from saga_project.shared.api import fields

#: Fields that a registration has by another name.
_ATTRIBUTES = {"service_url": "url", "ttl": "ttl_seconds"}


class RegistrationSerializer(serializers.Serializer[Any]):
    service_name = fields.NameField(max_length=10_000)
    service_url = fields.UrlField()
    capabilities = serializers.ListField(
        child=fields.CapabilityField(), required=False, allow_null=True
    )
    instance_id = fields.InstanceIdField(required=False, allow_null=True)
    version = fields.VersionField(required=False, allow_null=True)
    metadata = serializers.DictField(
        child=fields.TextField(allow_blank=True, max_length=4096),
        required=False,
        allow_null=True,
    )
    health_check_url = fields.UrlField(required=False, allow_null=True)
    weight = fields.WholeField(required=False, allow_null=True, min_value=0, max_value=65535)
    zone = fields.TextField(required=False, allow_null=True, max_length=128, allow_blank=True)
    ttl = fields.WholeField(required=False, allow_null=True, min_value=5, max_value=3600)


class RegisteredSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    service_url = serializers.CharField()
    service_id = serializers.UUIDField()
    registered_at = serializers.DateTimeField()
    capabilities = serializers.ListField(child=serializers.CharField())
    ttl = serializers.IntegerField()


def registered_body(registered: operations.Registered) -> dict[str, Any]:
    return {
        "service_name": registered.service_name,
        "service_url": registered.url,
        "service_id": registered.service_id,
        "registered_at": registered.registered_at,
        "capabilities": registered.capabilities,
        "ttl": registered.ttl_seconds,
    }


def registration_of(body: dict[str, Any]) -> operations.Registration:
    """Return the registration that a checked body, without null, asks for."""
    named = {_ATTRIBUTES.get(name, name): value for name, value in body.items()}
    named["capabilities"] = list(dict.fromkeys(body.get("capabilities", [])))
    return operations.Registration(**{"ttl_seconds": settings.REGISTRATION_TTL, **named})


class RegisterView(api.SagaView):
    required_scopes = {"POST": "registry:manage"}

    @extend_schema(
        operation_id="register_service",
        summary="Register a service, or renew it",
        tags=["registry"],
        request=RegistrationSerializer,
        responses={200: RegisteredSerializer},
    )
    def post(self, request: Request) -> Response:
        registration = registration_of(fields.read(RegistrationSerializer, request.data))
        caller = accounts.caller_of(request.user)
        registered = operations.register(registration, by=caller, now=timezone.now())
        return Response(registered_body(registered))
