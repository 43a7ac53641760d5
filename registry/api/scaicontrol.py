"""The registry in the ScaiControl dialect: how a service account keeps its service there."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names, operations
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service
from saga_project.shared import api, rules, timestamps
from saga_project.shared.api import fields

REPORTS = ("healthy", "degraded", "unhealthy")
EMAIL = rules.PatternRule(pattern=r"[^@\s]+@[^@\s]+", message="Enter an e-mail address.")


class ScaiControlRegistrationSerializer(serializers.Serializer[Any]):
    slug = fields.NameField()
    name = fields.TextField(max_length=255)
    version = fields.VersionField()
    base_url = fields.UrlField()
    description = fields.TextField(
        required=False, allow_null=True, allow_blank=True, max_length=10_000
    )
    app_id = fields.TextField(required=False, allow_null=True, allow_blank=True, max_length=255)
    health_check_url = fields.UrlField(required=False, allow_null=True, or_empty=True)
    capabilities = serializers.ListField(
        child=fields.TextField(max_length=128), required=False, allow_null=True
    )
    endpoints = serializers.DictField(
        child=fields.TextField(max_length=2048), required=False, allow_null=True
    )
    metadata = serializers.DictField(required=False, allow_null=True)
    heartbeat_interval_seconds = fields.WholeField(
        required=False, allow_null=True, default=30, min_value=5, max_value=3600
    )
    category = fields.TextField(required=False, allow_null=True, allow_blank=True, max_length=255)
    contact_email = fields.TextField(
        required=False, allow_null=True, or_empty=True, max_length=320, rule=EMAIL
    )

    def validate_contact_email(self, value: str) -> str:
        if value and not EMAIL.allows(value):
            raise serializers.ValidationError(EMAIL.message)
        return value


class ScaiControlHeartbeatSerializer(serializers.Serializer[Any]):
    slug = fields.NameField()
    status = serializers.ChoiceField(
        choices=REPORTS, required=False, allow_null=True, default="healthy"
    )
    version = fields.TextField(required=False, allow_null=True, allow_blank=True)
    uptime_seconds = fields.NumberField(required=False, allow_null=True, min_value=0)
    timestamp = fields.TimeField(required=False, allow_null=True)
    instance_id = fields.InstanceIdField(required=False, allow_null=True)
    checks = serializers.DictField(required=False, allow_null=True)
    metrics = serializers.DictField(child=fields.NumberField(), required=False, allow_null=True)
    message = fields.TextField(required=False, allow_null=True, allow_blank=True, max_length=10_000)


class ScaiControlDeregistrationSerializer(serializers.Serializer[Any]):
    slug = fields.NameField()
    reason = fields.TextField(required=False, allow_null=True, allow_blank=True, max_length=10_000)


class MetaSerializer(serializers.Serializer[Any]):
    request_id = serializers.CharField()
    timestamp = serializers.DateTimeField()


class RegistrationResponseSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    previous_version = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=Service.Status.choices)
    health_status = serializers.ChoiceField(choices=Service.Health.choices)
    auto_approved = serializers.BooleanField()
    heartbeat_interval_seconds = serializers.IntegerField()
    registered_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class HeartbeatResponseSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    slug = serializers.CharField()
    status = serializers.ChoiceField(choices=Service.Status.choices)
    health_status = serializers.ChoiceField(choices=Service.Health.choices)
    heartbeat_interval_seconds = serializers.IntegerField()
    server_time = serializers.DateTimeField()
    warnings = fields.warnings_field()


class ApiResponseRegistrationSerializer(serializers.Serializer[Any]):
    data = RegistrationResponseSerializer()  # type: ignore[assignment]
    meta = MetaSerializer()


class ApiResponseHeartbeatSerializer(serializers.Serializer[Any]):
    data = HeartbeatResponseSerializer()  # type: ignore[assignment]
    meta = MetaSerializer()


# --- Shapes ---------------------------------------------------------------------------------------


def _envelope(request: Request, data: dict[str, Any], *, now: dt.datetime) -> dict[str, Any]:
    meta = {"request_id": api.request_id_of(request), "timestamp": timestamps.iso(now)}
    return {"data": data, "meta": meta}


def registration_body(service: Service) -> dict[str, Any]:
    return {
        "id": str(service.service_id),
        "slug": service.name,
        "name": service.display_name,
        "version": service.version,
        "previous_version": service.previous_version or None,
        "status": service.status,
        "health_status": service.health_status,
        "auto_approved": service.is_auto_approved,
        "heartbeat_interval_seconds": service.heartbeat_interval_seconds,
        "registered_at": timestamps.iso(service.registered_at),
        "updated_at": timestamps.iso(service.updated_at),
    }


def _read(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    return fields.read(serializer, fields.given(request.data))


def _read_profile(request: Request) -> operations.Profile:
    return operations.Profile(**_read(ScaiControlRegistrationSerializer, request))


def _caller(request: Request) -> Caller:
    """Return the service account; the permission has seen to it that there is one."""
    caller = accounts.caller_of(request.user)
    if caller is None:
        raise errors.TokenMissing("Authenticate as a service account.")
    return caller


class ScaiControlView(api.SagaView):
    requires_service_account = True


class ScaiControlRegisterView(ScaiControlView):
    required_scopes = {
        "POST": "registry:manage",
        "PUT": "registry:manage",
        "DELETE": "registry:manage",
    }

    @extend_schema(
        operation_id="scaicontrol_register",
        summary="Register Service",
        tags=["service registry"],
        request=ScaiControlRegistrationSerializer,
        responses={201: ApiResponseRegistrationSerializer},
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        service = operations.register_profile(_read_profile(request), by=_caller(request), now=now)
        return Response(_envelope(request, registration_body(service), now=now), status=201)

    @extend_schema(
        operation_id="scaicontrol_reregister",
        summary="Reregister Service",
        tags=["service registry"],
        request=ScaiControlRegistrationSerializer,
        responses={200: ApiResponseRegistrationSerializer},
    )
    def put(self, request: Request) -> Response:
        now = timezone.now()
        service = operations.update_profile(_read_profile(request), by=_caller(request), now=now)
        return Response(_envelope(request, registration_body(service), now=now))

    @extend_schema(
        operation_id="scaicontrol_deregister",
        summary="Deregister Service",
        tags=["service registry"],
        request=ScaiControlDeregistrationSerializer,
        responses={204: OpenApiResponse(description="The service is not registered any more.")},
    )
    def delete(self, request: Request) -> Response:
        data = _read(ScaiControlDeregistrationSerializer, request)
        warnings = operations.deregister(
            data["slug"],
            by=_caller(request),
            now=timezone.now(),
            reason=data.get("reason", ""),
        )
        return Response(status=204, headers=api.warning_header(warnings))


class ScaiControlHeartbeatView(ScaiControlView):
    required_scopes = {"POST": "registry:manage"}

    @extend_schema(
        operation_id="scaicontrol_heartbeat",
        summary="Heartbeat",
        tags=["service registry"],
        request=ScaiControlHeartbeatSerializer,
        responses={200: ApiResponseHeartbeatSerializer},
    )
    def post(self, request: Request) -> Response:
        data = _read(ScaiControlHeartbeatSerializer, request)
        now, version = timezone.now(), data.get("version", "")
        standing = operations.renew_profile(
            data["slug"],
            report=data["status"],
            by=_caller(request),
            now=now,
            instance_id=data.get("instance_id", operations.DEFAULT_INSTANCE),
            version=version if names.is_version(version) else None,
            note=data.get("message"),
        )
        body: dict[str, Any] = {
            "ok": True,
            "slug": standing.slug,
            "status": standing.status,
            "health_status": standing.health_status,
            "heartbeat_interval_seconds": standing.heartbeat_interval_seconds,
            "server_time": timestamps.iso(now),
        }
        if "version" in data and not names.is_version(version):
            body["warnings"] = [names.version_warning(version, instance=standing.slug)]
        return Response(_envelope(request, body, now=now))
