"""The catalogue over HTTP: list the live services, find one, unregister it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import directory, names, operations
from registry.api import conditional, criteria, stale_reads
from registry.directory import InstanceEntry, ServiceEntry
from registry.identity import accounts
from saga_project.shared import api, rules, timestamps
from saga_project.shared.api import fields


class ServiceSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    service_url = serializers.CharField()
    service_id = serializers.UUIDField()
    registered_at = serializers.DateTimeField()
    last_heartbeat = serializers.DateTimeField()
    capabilities = serializers.ListField(child=serializers.CharField())


class ServiceListSerializer(serializers.Serializer[Any]):
    services = ServiceSerializer(many=True)
    total = serializers.IntegerField()


class UnregisteredSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    service_name = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="What may still run on its targets, and how to stop it.",
    )


def service_body(entry: ServiceEntry, instance: InstanceEntry) -> dict[str, Any]:
    return {
        "service_name": entry.name,
        "service_url": instance.url,
        "service_id": entry.service_id,
        "registered_at": instance.registered_at,
        "last_heartbeat": timestamps.iso_of(instance.last_heartbeat_us),
        "capabilities": instance.capabilities,
    }


FILTERS = [
    criteria.CAPABILITY,
    criteria.VERSION,
    criteria.LABEL,
    OpenApiParameter("zone", {"type": "string", "maxLength": 256}),
    OpenApiParameter(
        "q", {"type": "string", "maxLength": 256}, description="Part of a name or URL."
    ),
    fields.limit_parameter(default=None),
    fields.OFFSET,
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
        entries, age = stale_reads.or_stale(directory.all_services, directory.all_stale)
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
        tags = (conditional.tag_of(entry, instance) for entry, instance in page)
        tag = conditional.tag_of_all(tags, total=len(rows))
        return conditional.answer(request, body, tag=tag, age=age)


def _shown(
    entry: ServiceEntry, matches: Callable[[ServiceEntry, InstanceEntry], bool], *, is_stale: bool
) -> InstanceEntry | None:
    """Return the instance that stands for the service in a list: the newest serving one that matches."""
    candidates = list(entry.instances.values()) if is_stale else directory.serving(entry)
    fitting = [row for row in candidates if matches(entry, row)]
    return max(fitting, key=lambda row: (row.registered_us, row.instance_id), default=None)


def _filter(request: Request) -> Callable[[ServiceEntry, InstanceEntry], bool]:
    capability = criteria.read_capability(request)
    version_range = criteria.read_version_range(request)
    selector = criteria.read_selector(request)
    zone = api.read_text(request, "zone")
    q = (api.read_text(request, "q") or "").casefold()

    def matches(entry: ServiceEntry, row: InstanceEntry) -> bool:
        return (
            (capability is None or capability in row.capabilities)
            and (zone is None or row.zone == zone)
            and (selector is None or selector.matches(entry.labels))
            and (version_range is None or (bool(row.version) and version_range.allows(row.version)))
            and (not q or q in entry.name.casefold() or q in row.url.casefold())
        )

    return matches


class ServiceView(api.SagaView):
    required_scopes = {"GET": "services:read", "DELETE": "registry:manage"}

    @extend_schema(
        operation_id="get_service",
        summary="Find a service",
        tags=["registry"],
        responses={200: ServiceSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        entry, age = stale_reads.find(name)
        instance = directory.chosen(entry) or max(
            entry.instances.values(), key=lambda row: row.registered_us
        )
        body, tag = service_body(entry, instance), conditional.tag_of(entry, instance)
        return conditional.answer(request, body, tag=tag, age=age)

    @extend_schema(
        operation_id="unregister_service",
        parameters=[
            fields.text_parameter("instance_id", "Only this instance.", rule=rules.INSTANCE_ID)
        ],
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
        warnings = operations.deregister(
            name,
            by=accounts.caller_of(request.user),
            now=timezone.now(),
            instance_id=instance_id,
        )
        what = (
            f"Instance '{instance_id}' of service '{name}'" if instance_id else f"Service '{name}'"
        )
        body = {"message": f"{what} unregistered successfully", "service_name": name}
        return Response({**body, **({"warnings": warnings} if warnings else {})})
