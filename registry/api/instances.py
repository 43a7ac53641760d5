"""A service's instances over HTTP: all live ones, or one picked by weight."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import directory, errors
from registry.api import conditional, criteria, stale_reads
from registry.directory import InstanceEntry, ServiceEntry
from registry.models import Instance
from saga_project.shared import api, timestamps


class InstanceSerializer(serializers.Serializer[Any]):
    instance_id = serializers.CharField()
    service_url = serializers.CharField()
    health = serializers.ChoiceField(choices=Instance.Health.choices)
    registered_at = serializers.DateTimeField()
    last_heartbeat = serializers.DateTimeField()
    weight = serializers.IntegerField(help_text="0 while lookups leave the instance out.")
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


def instance_body(instance: InstanceEntry) -> dict[str, Any]:
    """Return the object of an instance; callers that choose themselves leave out those of weight 0."""
    return {
        "instance_id": instance.instance_id,
        "service_url": instance.url,
        "health": instance.health,
        "weight": 0 if instance.is_draining else instance.weight,
        "zone": instance.zone or None,
        "version": instance.version or None,
        "capabilities": instance.capabilities,
        "metadata": instance.metadata,
        "registered_at": instance.registered_at,
        "last_heartbeat": timestamps.iso_of(instance.last_heartbeat_us),
        "ttl": instance.ttl_seconds,
    }


def resolved_body(entry: ServiceEntry, instance: InstanceEntry) -> dict[str, Any]:
    return {"service_name": entry.name, **instance_body(instance)}


class InstanceListView(api.SagaView):
    required_scopes = {"GET": "services:read"}

    @extend_schema(
        operation_id="list_instances",
        summary="List a service's live instances",
        tags=["registry"],
        responses={200: InstanceListSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        entry, age = stale_reads.find(name)
        live = entry.live(directory.now_us()) if age is None else list(entry.instances.values())
        rows = sorted(live, key=lambda row: row.instance_id)
        body = {
            "service_name": entry.name,
            "instances": [instance_body(row) for row in rows],
            "total": len(rows),
        }
        tags = (conditional.tag_of(entry, row) for row in rows)
        tag = conditional.tag_of_all(tags, total=len(rows))
        return conditional.answer(request, body, tag=tag, age=age)


class ResolveView(api.SagaView):
    required_scopes = {"GET": "services:read"}

    @extend_schema(
        operation_id="resolve_service",
        summary="Pick one instance, at random by weight",
        description="A running canary gets its share. 404 where no live instance meets the conditions.",
        parameters=criteria.PARAMETERS,
        tags=["registry"],
        responses={200: ResolvedSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        wanted = criteria.read_criteria(request)
        entry, age = stale_reads.find(name)
        live = None if age is None else list(entry.instances)
        instance = directory.pick(entry, wanted, live=live)
        if instance is None:
            raise errors.InstanceNotFound(
                f"No live instance of '{name}' meets {criteria.described(wanted)}."
            )
        tag = conditional.tag_of(entry, instance)
        return conditional.answer(request, resolved_body(entry, instance), tag=tag, age=age)
