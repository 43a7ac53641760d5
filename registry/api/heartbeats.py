"""Keep instances alive over HTTP: one, or up to a thousand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names, operations
from registry.identity import accounts
from registry.models import Instance
from saga_project.shared import api
from saga_project.shared.api.fields import TextField, warnings_field

MAX_BULK = 1000


class BeatSerializer(serializers.Serializer[Any]):
    instance_id = TextField(required=False, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(
        choices=Instance.Health.choices, required=False, allow_null=True
    )
    version = TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="One that is not a version is ignored and named in 'warnings'.",
    )
    note = TextField(
        required=False, allow_null=True, allow_blank=True, max_length=1000, trim_whitespace=True
    )


class NamedBeatSerializer(BeatSerializer):
    service_name = TextField(allow_blank=True)


class RefreshedSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    message = serializers.CharField()
    ttl = serializers.IntegerField()
    warnings = warnings_field()


class BulkSerializer(serializers.Serializer[Any]):
    services = serializers.ListField(
        child=serializers.JSONField(),
        help_text="Names, or objects like a heartbeat with service_name.",
    )


class BulkRefreshedSerializer(serializers.Serializer[Any]):
    refreshed = serializers.IntegerField()
    ttl = serializers.IntegerField()
    missing = serializers.ListField(child=serializers.CharField())
    warnings = warnings_field()


def refreshed_body(name: str, *, ttl_seconds: int) -> dict[str, Any]:
    return {"service_name": name, "message": "Service registration refreshed", "ttl": ttl_seconds}


def bulk_refreshed_body(answer: operations.Renewed) -> dict[str, Any]:
    return {"refreshed": answer.refreshed, "ttl": answer.ttl_seconds, "missing": answer.missing}


def _read_beat(name: str, data: dict[str, Any]) -> operations.Beat:
    given = {key: value for key, value in data.items() if value is not None}
    return operations.Beat(
        service_name=names.check_service_name(name),
        instance_id=names.check_instance_id(given.get("instance_id", operations.DEFAULT_INSTANCE)),
        health=given.get("status"),
        version=given["version"] if names.is_version(given.get("version", "")) else None,
        note=given.get("note"),
    )


def _warnings(items: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, list[str]]:
    """Return what to add to an answer: the versions that cannot be used, of (service, heartbeat)."""
    warnings = [
        names.version_warning(
            data["version"],
            instance=f"{name}/{data.get('instance_id') or operations.DEFAULT_INSTANCE}",
        )
        for name, data in items
        if data.get("version") is not None and not names.is_version(data["version"])
    ]
    return {"warnings": warnings} if warnings else {}


class HeartbeatView(api.SagaView):
    required_scopes = {"POST": "registry:manage"}

    @extend_schema(
        operation_id="heartbeat",
        summary="Keep an instance alive",
        tags=["registry"],
        request=BeatSerializer,
        responses={200: RefreshedSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        names.check_service_name(name)
        shape = BeatSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        beat = _read_beat(name, shape.validated_data)
        ttl = operations.renew(beat, by=accounts.caller_of(request.user), now=timezone.now())
        warnings = _warnings([(name, shape.validated_data)])
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
        beats = [_read_beat(name, data) for name, data in items]
        answer = operations.renew_many(
            beats, by=accounts.caller_of(request.user), now=timezone.now()
        )
        return Response({**bulk_refreshed_body(answer), **_warnings(items)})


def _read_bulk(items: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(items, list):
        raise api.InvalidParameter("'services' must be a list.", field="services")
    if len(items) > MAX_BULK:
        raise api.InvalidParameter(f"'services' has at most {MAX_BULK} entries.", field="services")
    return [_read_bulk_item(item) for item in items]


def _read_bulk_item(item: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(item, str):
        return item, {}
    shape = NamedBeatSerializer(data=item)
    shape.is_valid(raise_exception=True)
    return shape.validated_data["service_name"], shape.validated_data
