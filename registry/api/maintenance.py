"""What staff took out of the lookups: a service, or instances of it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names
from registry.identity import accounts
from registry.models import Service
from registry.operations import maintenance
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources

INSTANCE = fields.text_parameter("instance_id", "Only this instance.", rule=rules.INSTANCE_ID)


class InstanceMaintenanceSerializer(serializers.Serializer[Any]):
    instance_id = serializers.CharField()
    since = serializers.DateTimeField()
    reason = serializers.CharField()


class MaintenanceSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    is_in_maintenance = serializers.BooleanField(help_text="Whether lookups leave it out.")
    since = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    instances = InstanceMaintenanceSerializer(
        many=True, help_text="Those that lookups leave out while others are there."
    )


class MaintenanceShape(resources.StrictShape):
    instance_id = fields.TextField(required=False, max_length=128, help_text="Only this instance.")
    reason = fields.TextField(required=False, allow_blank=True, max_length=1000)


class MaintenanceView(api.SagaView):
    required_scopes = {
        "GET": "services:read",
        "PUT": "registry:manage",
        "DELETE": "registry:manage",
    }
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="get_service_maintenance",
        summary="See what staff took out of the lookups",
        tags=["services"],
        responses={200: MaintenanceSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        service = Service.objects.filter(name=names.check_service_name(name)).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        return Response(_body(service))

    @extend_schema(
        operation_id="begin_service_maintenance",
        summary="Take a service, or one instance, out of the lookups",
        description="No lookup finds the service. An instance is left out while others are there,"
        " and has the weight 0. Heartbeats go on, and it lasts until it is ended.",
        tags=["services"],
        request=MaintenanceShape,
        responses={200: MaintenanceSerializer},
    )
    def put(self, request: Request, name: str) -> Response:
        shape = MaintenanceShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        service = maintenance.begin(
            names.check_service_name(name),
            instance_id=shape.validated_data.get("instance_id"),
            reason=shape.validated_data.get("reason", "").strip(),
            by=accounts.caller_of(request.user),
            now=timezone.now(),
        )
        return Response(_body(service))

    @extend_schema(
        operation_id="end_service_maintenance",
        summary="Put a service, or one instance, back in the lookups",
        tags=["services"],
        parameters=[INSTANCE],
        responses={200: MaintenanceSerializer},
    )
    def delete(self, request: Request, name: str) -> Response:
        instance_id = request.query_params.get("instance_id")
        if instance_id is not None:
            names.check_instance_id(instance_id)
        service = maintenance.end(
            names.check_service_name(name),
            instance_id=instance_id,
            by=accounts.caller_of(request.user),
            now=timezone.now(),
        )
        return Response(_body(service))


def _body(service: Service) -> dict[str, Any]:
    out = service.instances.live().exclude(maintenance_since=None).order_by("instance_id")
    return {
        "service_name": service.name,
        "is_in_maintenance": service.maintenance_since is not None,
        "since": api.zulu(service.maintenance_since),
        "reason": service.maintenance_reason,
        "instances": [
            {
                "instance_id": row.instance_id,
                "since": api.zulu(row.maintenance_since),
                "reason": row.maintenance_reason,
            }
            for row in out
        ],
    }
