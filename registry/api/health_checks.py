"""Health checks as a resource, and the uptime that they measure."""

from __future__ import annotations

from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names
from registry.api.configured import ConfiguredViewSet, ServiceFilter, ServiceNameField
from registry.models import CheckVerdict, HealthCheck, Service
from registry.operations import health_checks, uptime
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources

READ, WRITE = "services:read", "checks:write"


@extend_schema_field({"type": ["object", "array", "string", "number", "boolean"], "items": {}})
class AnyJsonField(serializers.JSONField):
    """Any JSON value."""


class HealthCheckShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(source="service")
    instance_id = fields.TextField(
        required=False,
        rule=rules.INSTANCE_ID,
        or_empty=True,
        max_length=128,
        help_text="Empty: each live instance.",
    )
    interval_seconds = fields.WholeField(required=False, min_value=1, max_value=86_400)
    timeout_seconds = fields.WholeField(required=False, min_value=1, max_value=60)
    failures_before_critical = fields.WholeField(required=False, min_value=1, max_value=100)
    successes_before_passing = fields.WholeField(required=False, min_value=1, max_value=100)
    port = fields.WholeField(required=False, allow_null=True, min_value=1, max_value=65_535)
    certificate_warning_days = fields.WholeField(required=False, min_value=0, max_value=3650)
    json_value = AnyJsonField(
        required=False, allow_null=True, help_text="What must stand there; null: any value."
    )

    class Meta:
        model = HealthCheck
        fields: tuple[str, ...] = (
            "service_name",
            "name",
            "kind",
            "instance_id",
            "url",
            "port",
            "interval_seconds",
            "timeout_seconds",
            "failures_before_critical",
            "successes_before_passing",
            "expected_status",
            "json_pointer",
            "json_value",
            "certificate_warning_days",
            "node",
            "is_enabled",
        )


class StoredHealthCheckShape(HealthCheckShape):
    class Meta(HealthCheckShape.Meta):
        fields: tuple[str, ...] = ("id", *HealthCheckShape.Meta.fields, "updated_at")
        read_only_fields = ("updated_at",)


class HealthCheckFilters(django_filters.FilterSet):
    service = ServiceFilter()
    node = django_filters.CharFilter(max_length=128)


class HealthCheckViewSet(ConfiguredViewSet):
    """A call to the instances of a service, again and again, of which their health depends."""

    required_scopes = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}
    kind = health_checks.CHECK
    serializer_class = StoredHealthCheckShape
    pagination_class = resources.pages("checks")
    filterset_class = HealthCheckFilters
    queryset = HealthCheck.objects.select_related("service")


# --- Uptime ---------------------------------------------------------------------------------------


class ShareSerializer(serializers.Serializer[Any]):
    percent = serializers.FloatField(allow_null=True, help_text="Null: nothing was checked.")
    checked_seconds = serializers.FloatField()


class CheckResultSerializer(serializers.Serializer[Any]):
    check_name = serializers.CharField(source="check_made.name")
    instance_id = serializers.CharField()
    verdict = serializers.ChoiceField(choices=CheckVerdict.choices)
    reason = serializers.CharField()
    since = serializers.DateTimeField()
    checked_at = serializers.DateTimeField()
    certificate_expires_at = serializers.DateTimeField(allow_null=True)


class CheckTransitionSerializer(serializers.Serializer[Any]):
    check_name = serializers.CharField(source="check_made.name")
    instance_id = serializers.CharField()
    old = serializers.ChoiceField(choices=CheckVerdict.choices)
    new = serializers.ChoiceField(choices=CheckVerdict.choices)
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class ServiceUptimeSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    uptime = serializers.DictField(
        child=ShareSerializer(), help_text=f"By window: {', '.join(uptime.WINDOWS)}."
    )
    checks = CheckResultSerializer(many=True)
    transitions = CheckTransitionSerializer(many=True, help_text="Newest first.")


class UptimeView(api.SagaView):
    required_scopes = {"GET": READ}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="get_service_uptime",
        summary="See how much of the time a service was up, by its health checks",
        tags=["services"],
        parameters=[fields.limit_parameter()],
        responses={200: ServiceUptimeSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        limit = api.read_limit(request) or 100
        service = Service.objects.filter(name=names.check_service_name(name)).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        found = uptime.of(service, now=timezone.now(), limit=limit)
        body = {
            "service_name": service.name,
            "uptime": found.shares,
            "checks": found.results,
            "transitions": found.transitions,
        }
        return Response(ServiceUptimeSerializer(body).data)
