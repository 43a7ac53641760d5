"""The registry in the Saga dialect: register, beat, be found, leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import directory, errors, names, operations
from registry.directory import InstanceEntry, ServiceEntry
from registry.identity import accounts
from registry.models import Instance
from saga_project.shared import api, timestamps, versions
from saga_project.shared import errors as saga_errors
from saga_project.shared.api.fields import TextField, WholeField, warnings_field

CAPABILITIES = ("rest", "graphql", "grpc", "mcp")
MAX_BULK = 1000
ScanResult = TypeVar("ScanResult")
STALE_HEADER = "X-Saga-Stale"


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


class ServiceSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    service_url = serializers.CharField()
    service_id = serializers.UUIDField()
    registered_at = serializers.DateTimeField()
    last_heartbeat = serializers.DateTimeField()
    capabilities = serializers.ListField(child=serializers.CharField())


class RegisteredSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    service_url = serializers.CharField()
    service_id = serializers.UUIDField()
    registered_at = serializers.DateTimeField()
    capabilities = serializers.ListField(child=serializers.CharField())
    ttl = serializers.IntegerField()


class ServiceListSerializer(serializers.Serializer[Any]):
    services = ServiceSerializer(many=True)
    total = serializers.IntegerField()


class InstanceSerializer(serializers.Serializer[Any]):
    instance_id = serializers.CharField()
    service_url = serializers.CharField()
    health = serializers.ChoiceField(choices=Instance.Health.choices)
    registered_at = serializers.DateTimeField()
    last_heartbeat = serializers.DateTimeField()
    weight = serializers.IntegerField()
    zone = serializers.CharField(allow_null=True)
    version = serializers.CharField(allow_null=True)
    capabilities = serializers.ListField(child=serializers.CharField())
    metadata = serializers.DictField(child=serializers.CharField())
    ttl = serializers.IntegerField()


class InstanceListSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    instances = InstanceSerializer(many=True)
    total = serializers.IntegerField()


class ResolvedSerializer(InstanceSerializer):
    service_name = serializers.CharField()


class UnregisteredSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    service_name = serializers.CharField()


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


# --- Shapes ---------------------------------------------------------------------------------------


def service_body(entry: ServiceEntry, instance: InstanceEntry) -> dict[str, Any]:
    return {
        "service_name": entry.name,
        "service_url": instance.url,
        "service_id": entry.service_id,
        "registered_at": instance.registered_at,
        "last_heartbeat": timestamps.iso_of(instance.last_heartbeat_us),
        "capabilities": instance.capabilities,
    }


def registered_body(registered: operations.Registered) -> dict[str, Any]:
    return {
        "service_name": registered.service_name,
        "service_url": registered.url,
        "service_id": registered.service_id,
        "registered_at": registered.registered_at,
        "capabilities": registered.capabilities,
        "ttl": registered.ttl_seconds,
    }


def refreshed_body(name: str, *, ttl_seconds: int) -> dict[str, Any]:
    return {"service_name": name, "message": "Service registration refreshed", "ttl": ttl_seconds}


def bulk_refreshed_body(answer: operations.Renewed) -> dict[str, Any]:
    return {"refreshed": answer.refreshed, "ttl": answer.ttl_seconds, "missing": answer.missing}


def instance_body(instance: InstanceEntry) -> dict[str, Any]:
    return {
        "instance_id": instance.instance_id,
        "service_url": instance.url,
        "health": instance.health,
        "weight": instance.weight,
        "zone": instance.zone or None,
        "version": instance.version or None,
        "capabilities": instance.capabilities,
        "metadata": instance.metadata,
        "registered_at": instance.registered_at,
        "last_heartbeat": timestamps.iso_of(instance.last_heartbeat_us),
        "ttl": instance.ttl_seconds,
    }


def _read_registration(body: Any) -> operations.Registration:
    shape = RegistrationSerializer(data=body)
    shape.is_valid(raise_exception=True)
    data = {key: value for key, value in shape.validated_data.items() if value is not None}
    capabilities = list(dict.fromkeys(data.get("capabilities", [])))
    for capability in capabilities:
        if capability not in CAPABILITIES:
            raise errors.InvalidCapability(
                f"'{capability}' is none of {', '.join(CAPABILITIES)}.", field="capabilities"
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


# --- Reading, also while Redis is gone ------------------------------------------------------------


def _or_stale(
    fresh: Callable[[], ScanResult], stale: Callable[[], ScanResult]
) -> tuple[ScanResult, float | None]:
    """Return what is, or, with Redis gone and stale reads allowed, what was, and its age in seconds."""
    try:
        return fresh(), None
    except saga_errors.RedisUnavailable:
        age = directory.stale_for()
        if age is None:
            raise
        return stale(), age


def _mark(response: Response, age: float | None) -> Response:
    if age is not None:
        response[STALE_HEADER] = str(int(age))
    return response


def _found(name: str) -> tuple[ServiceEntry, float | None]:
    names.check_service_name(name)
    entry, age = _or_stale(lambda: directory.get(name), lambda: directory.stale(name))
    if entry is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return entry, age


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
        registration = _read_registration(request.data)
        caller = accounts.caller_of(request.user)
        registered = operations.register(registration, by=caller, now=timezone.now())
        return Response(registered_body(registered))


FILTERS = [
    OpenApiParameter("capability", str, enum=CAPABILITIES),
    OpenApiParameter("version", str, description="A range such as `>=1.4,<2`."),
    OpenApiParameter("zone", {"type": "string", "maxLength": 256}),
    OpenApiParameter(
        "q", {"type": "string", "maxLength": 256}, description="Part of a name or URL."
    ),
    OpenApiParameter("limit", int, description="Default: all."),
    OpenApiParameter("offset", int),
]


class ServiceListView(api.SagaView):
    required_scopes = {"GET": "services:read"}

    @extend_schema(
        operation_id="list_services",
        parameters=FILTERS,
        summary="List the live, approved services",
        tags=["registry"],
        responses={200: ServiceListSerializer},
    )
    def get(self, request: Request) -> Response:
        limit, offset = api.read_limit(request, default=None), api.read_offset(request)
        matches = _filter(request)
        entries, age = _or_stale(directory.all_services, directory.all_stale)
        rows = [
            (entry, instance)
            for entry in entries
            if (instance := _shown(entry, matches, is_stale=age is not None)) is not None
        ]
        page = rows[offset:] if limit is None else rows[offset : offset + limit]
        body = {
            "services": [service_body(entry, instance) for entry, instance in page],
            "total": len(rows),
        }
        return _mark(Response(body), age)


def _shown(
    entry: ServiceEntry, matches: Callable[[ServiceEntry, InstanceEntry], bool], *, is_stale: bool
) -> InstanceEntry | None:
    """Return the instance that stands for the service in a list: the newest serving one that matches."""
    candidates = list(entry.instances.values()) if is_stale else directory.serving(entry)
    fitting = [row for row in candidates if matches(entry, row)]
    return max(fitting, key=lambda row: (row.registered_us, row.instance_id), default=None)


def _filter(request: Request) -> Callable[[ServiceEntry, InstanceEntry], bool]:
    capability = api.read_text(request, "capability")
    if capability is not None and capability not in CAPABILITIES:
        raise errors.InvalidCapability(f"'{capability}' is none of {', '.join(CAPABILITIES)}.")
    wanted = api.read_text(request, "version")
    version_range = _read_range(wanted) if wanted is not None else None
    zone = api.read_text(request, "zone")
    q = (api.read_text(request, "q") or "").casefold()

    def matches(entry: ServiceEntry, row: InstanceEntry) -> bool:
        return (
            (capability is None or capability in row.capabilities)
            and (zone is None or row.zone == zone)
            and (version_range is None or (bool(row.version) and version_range(row.version)))
            and (not q or q in entry.name.casefold() or q in row.url.casefold())
        )

    return matches


def _read_range(text: str) -> Callable[[str], bool]:
    try:
        allowed = versions.parse_range(text)
    except versions.RangeError as exc:
        raise errors.InvalidVersion(f"'version' is no range: {exc}", field="version") from exc
    return allowed.allows


class ServiceView(api.SagaView):
    required_scopes = {"GET": "services:read", "DELETE": "registry:manage"}

    @extend_schema(
        operation_id="get_service",
        summary="Find a service",
        tags=["registry"],
        responses={200: ServiceSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        entry, age = _found(name)
        instance = directory.chosen(entry) or max(
            entry.instances.values(), key=lambda row: row.registered_us
        )
        return _mark(Response(service_body(entry, instance)), age)

    @extend_schema(
        operation_id="unregister_service",
        parameters=[OpenApiParameter("instance_id", str, description="Only this instance.")],
        summary="Unregister a service, or one of its instances",
        tags=["registry"],
        request=None,
        responses={200: UnregisteredSerializer},
    )
    def delete(self, request: Request, name: str) -> Response:
        names.check_service_name(name)
        instance_id = request.query_params.get("instance_id")
        if instance_id is not None:
            names.check_instance_id(instance_id)
        operations.deregister(
            name,
            by=accounts.caller_of(request.user),
            now=timezone.now(),
            instance_id=instance_id,
        )
        what = (
            f"Instance '{instance_id}' of service '{name}'" if instance_id else f"Service '{name}'"
        )
        return Response({"message": f"{what} unregistered successfully", "service_name": name})


class InstanceListView(api.SagaView):
    required_scopes = {"GET": "services:read"}

    @extend_schema(
        operation_id="list_instances",
        summary="List a service's live instances",
        tags=["registry"],
        responses={200: InstanceListSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        entry, age = _found(name)
        live = entry.live(directory.now_us()) if age is None else list(entry.instances.values())
        rows = sorted(live, key=lambda row: row.instance_id)
        body = {
            "service_name": entry.name,
            "instances": [instance_body(row) for row in rows],
            "total": len(rows),
        }
        return _mark(Response(body), age)


class ResolveView(api.SagaView):
    required_scopes = {"GET": "services:read"}

    @extend_schema(
        operation_id="resolve_service",
        summary="Pick one instance, at random by weight",
        tags=["registry"],
        responses={200: ResolvedSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        entry, age = _found(name)
        instance = directory.pick(entry) or next(iter(entry.instances.values()))
        body = {"service_name": entry.name, **instance_body(instance)}
        return _mark(Response(body), age)


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
