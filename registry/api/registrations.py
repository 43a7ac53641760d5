"""Register a service over HTTP."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names, operations
from registry.identity import accounts
from saga_project.shared import api
from saga_project.shared.api.fields import TextField, WholeField


class RegistrationSerializer(serializers.Serializer[Any]):
    service_name = TextField(allow_blank=True, max_length=10_000)
    service_url = TextField(allow_blank=True)
    capabilities = serializers.ListField(
        child=TextField(allow_blank=True), required=False, allow_null=True
    )
    instance_id = TextField(required=False, allow_null=True, allow_blank=True)
    version = TextField(required=False, allow_null=True, allow_blank=True)
    metadata = serializers.DictField(
        child=TextField(allow_blank=True, max_length=4096),
        required=False,
        allow_null=True,
    )
    health_check_url = TextField(required=False, allow_null=True, allow_blank=True)
    weight = WholeField(required=False, allow_null=True, min_value=0, max_value=65535)
    zone = TextField(required=False, allow_null=True, max_length=128, allow_blank=True)
    ttl = WholeField(required=False, allow_null=True, min_value=5, max_value=3600)


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


def read(body: Any) -> operations.Registration:
    shape = RegistrationSerializer(data=body)
    shape.is_valid(raise_exception=True)
    data = {key: value for key, value in shape.validated_data.items() if value is not None}
    capabilities = list(dict.fromkeys(data.get("capabilities", [])))
    for capability in capabilities:
        if capability not in names.CAPABILITIES:
            raise errors.InvalidCapability(
                f"'{capability}' is none of {', '.join(names.CAPABILITIES)}.", field="capabilities"
            )
    return operations.Registration(
        service_name=names.check_service_name(data["service_name"]),
        url=names.check_url(data["service_url"]),
        capabilities=capabilities,
        instance_id=names.check_instance_id(data.get("instance_id", operations.DEFAULT_INSTANCE)),
        version=names.check_version(data["version"]) if "version" in data else "",
        metadata=data.get("metadata", {}),
        health_check_url=names.check_url(data["health_check_url"], field="health_check_url")
        if "health_check_url" in data
        else "",
        weight=data.get("weight", 1),
        zone=data.get("zone", ""),
        ttl_seconds=data.get("ttl", settings.REGISTRATION_TTL),
    )


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
        registration = read(request.data)
        caller = accounts.caller_of(request.user)
        registered = operations.register(registration, by=caller, now=timezone.now())
        return Response(registered_body(registered))
