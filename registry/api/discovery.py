"""Discovery for others' tools: the live instances as Prometheus' HTTP service discovery wants them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import directory
from registry.directory import InstanceEntry, ServiceEntry
from saga_project.shared import api

DEFAULT_PORTS = {"http": 80, "https": 443}
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)


class TargetGroupSerializer(serializers.Serializer[Any]):
    targets = serializers.ListField(child=serializers.CharField(), help_text="host:port")
    labels = serializers.DictField(child=serializers.CharField())


class PrometheusView(api.SagaView):
    required_scopes = {"GET": "services:read"}

    @extend_schema(
        operation_id="discover_for_prometheus",
        summary="The live instances as Prometheus HTTP service discovery",
        description="For `http_sd_configs`. Each group is one instance; relabel on `__meta_saga_*`.",
        tags=["discovery"],
        responses={200: TargetGroupSerializer(many=True)},
    )
    def get(self, request: Request) -> Response:
        now_us = directory.now_us()
        return Response(
            [
                {"targets": [_target(instance.url)], "labels": _labels(entry, instance)}
                for entry in directory.all_services()
                for instance in entry.live(now_us)
            ]
        )


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (
        parts.netloc if parts.port else f"{parts.netloc.rstrip(':')}:{DEFAULT_PORTS[parts.scheme]}"
    )


def _labels(entry: ServiceEntry, instance: InstanceEntry) -> dict[str, str]:
    """Return the labels; lists are surrounded by their separator, so that one pattern finds a member."""
    meta = {
        "service": entry.name,
        "service_id": entry.service_id,
        "service_health": entry.health_status,
        "instance_id": instance.instance_id,
        "url": instance.url,
        "version": instance.version,
        "zone": instance.zone,
        "weight": str(instance.weight),
        "health": instance.health,
        "draining": "true" if instance.is_draining else "false",
        "capabilities": f",{','.join(instance.capabilities)}," if instance.capabilities else "",
    }
    for key, value in instance.metadata.items():
        meta[f"metadata_{_NOT_IN_LABELS.sub('_', key)}"] = str(value)
    labels = {f"__meta_saga_{name}": value for name, value in meta.items()}
    return {**labels, "__scheme__": urlsplit(instance.url).scheme}
