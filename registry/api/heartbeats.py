"""Keep instances alive over HTTP: one, or up to a thousand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names, operations
from registry.identity import accounts
from registry.models import Instance
from saga_project.shared import api, rules
from saga_project.shared.api import fields

MAX_BULK = 1000


class HeartbeatSerializer(serializers.Serializer[Any]):
    instance_id = fields.InstanceIdField(required=False, allow_null=True)
    status = serializers.ChoiceField(
        choices=Instance.Health.choices, required=False, allow_null=True
    )
    version = fields.TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="One that is not a version is ignored and named in 'warnings'.",
    )
    note = fields.TextField(
        required=False, allow_null=True, allow_blank=True, max_length=1000, trim_whitespace=True
    )


class NamedHeartbeatSerializer(HeartbeatSerializer):
    service_name = fields.NameField()


class RefreshedSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    message = serializers.CharField()
    ttl = serializers.IntegerField()
    warnings = fields.warnings_field()


class BulkItemField(serializers.JSONField):
    """A name, or a heartbeat with the service's name."""


class BulkItemExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = BulkItemField

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        heartbeat = auto_schema._map_serializer(NamedHeartbeatSerializer, direction)  # noqa: SLF001 - as its documentation does
        heartbeat["properties"]["status"].pop("x-spec-enum-id")  # a mark for components' names
        return {"anyOf": [fields.schema_of(rules.SERVICE_NAME), heartbeat]}


class BulkSerializer(serializers.Serializer[Any]):
    services = serializers.ListField(
        child=BulkItemField(),
        max_length=MAX_BULK,
        help_text="Names, or objects like a heartbeat with service_name.",
    )


class BulkRefreshedSerializer(serializers.Serializer[Any]):
    refreshed = serializers.IntegerField()
    ttl = serializers.IntegerField()
    missing = serializers.ListField(child=serializers.CharField())
    warnings = fields.warnings_field()


def refreshed_body(name: str, *, ttl_seconds: int) -> dict[str, Any]:
    return {"service_name": name, "message": "Service registration refreshed", "ttl": ttl_seconds}


def bulk_refreshed_body(answer: operations.Renewed) -> dict[str, Any]:
    return {"refreshed": answer.refreshed, "ttl": answer.ttl_seconds, "missing": answer.missing}


def heartbeat_of(name: str, body: dict[str, Any]) -> operations.Heartbeat:
    """Return the heartbeat that a checked body, without null, is; an unusable version is left out."""
    version = body.get("version")
    return operations.Heartbeat(
        service_name=name,
        instance_id=body.get("instance_id", operations.DEFAULT_INSTANCE),
        health=body.get("status"),
        version=version if version is not None and names.is_version(version) else None,
        note=body.get("note"),
    )


def _warnings(items: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, list[str]]:
    """Return what to add to an answer: the versions that cannot be used, of (service, heartbeat)."""
    warnings = [
        names.version_warning(
            data["version"],
            instance=f"{name}/{data.get('instance_id', operations.DEFAULT_INSTANCE)}",
        )
        for name, data in items
        if "version" in data and not names.is_version(data["version"])
    ]
    return {"warnings": warnings} if warnings else {}


class HeartbeatView(api.SagaView):
    required_scopes = {"POST": "registry:manage"}

    @extend_schema(
        operation_id="heartbeat",
        summary="Keep an instance alive",
        tags=["registry"],
        request=HeartbeatSerializer,
        responses={200: RefreshedSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        names.check_service_name(name)
        body = fields.read(HeartbeatSerializer, request.data)
        ttl = operations.renew(
            heartbeat_of(name, body), by=accounts.caller_of(request.user), now=timezone.now()
        )
        warnings = _warnings([(name, body)])
        return Response({**refreshed_body(name, ttl_seconds=ttl), **warnings})


class BulkHeartbeatView(api.SagaView):
    required_scopes = {"POST": "registry:manage"}

    @extend_schema(
        operation_id="heartbeat_many",
        summary="Keep up to 1,000 instances alive",
        tags=["registry"],
        request=BulkSerializer,
        responses={200: BulkRefreshedSerializer},
    )
    def post(self, request: Request) -> Response:
        items = _read_bulk(api.body_of(request).get("services"))
        heartbeats = [heartbeat_of(name, data) for name, data in items]
        answer = operations.renew_many(
            heartbeats, by=accounts.caller_of(request.user), now=timezone.now()
        )
        return Response({**bulk_refreshed_body(answer), **_warnings(items)})


def _read_bulk(items: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(items, list):
        raise api.InvalidParameter("'services' must be a list.", field="services")
    if len(items) > MAX_BULK:
        raise api.InvalidParameter(f"'services' has at most {MAX_BULK} entries.", field="services")
    shapes = [_bulk_item(item) for item in items]
    return [_checked_item(name, shape) for name, shape in shapes]


def _bulk_item(item: Any) -> tuple[str, NamedHeartbeatSerializer | None]:
    if isinstance(item, str):
        return item, None
    shape = NamedHeartbeatSerializer(data=item)
    shape.is_valid(raise_exception=True)
    return shape.validated_data["service_name"], shape


def _checked_item(name: str, shape: NamedHeartbeatSerializer | None) -> tuple[str, dict[str, Any]]:
    names.check_service_name(name)
    return name, fields.checked(shape) if shape is not None else {}
