"""Notification rules, and the alerts that they found."""

from __future__ import annotations

import re
from typing import ClassVar

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ConfiguredViewSet, ServiceFilter, ServiceNameField
from registry.identity import accounts
from saga_project.shared import api
from saga_project.shared.api import fields, resources
from updates.api.calendar import SELECTOR_HELP, WallTimeField
from webhooks import errors
from webhooks.models import Alert, NotificationRule, Severity
from webhooks.operations import alerts, rules

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
READ, WRITE = "webhooks:manage", "rules:write"


class NotificationRuleShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(
        source="service",
        required=False,
        allow_null=True,
        help_text="Null: of every service whose name fits service_glob.",
    )
    selector = fields.SelectorField(help_text=SELECTOR_HELP)
    event_types = serializers.ListField(
        child=fields.TextField(max_length=64),
        min_length=1,
        max_length=50,
        help_text="Types of events, or patterns such as service.*.",
    )
    channels = serializers.ListField(
        child=fields.TextField(max_length=64), min_length=1, max_length=20
    )
    min_severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    digest = serializers.ChoiceField(choices=NotificationRule.Digest.choices, required=False)
    delay_seconds = fields.WholeField(required=False, min_value=0, max_value=86_400)
    group_seconds = fields.WholeField(required=False, min_value=0, max_value=3_600)
    repeat_every_seconds = fields.WholeField(
        required=False,
        allow_null=True,
        min_value=60,
        max_value=30 * 86_400,
        help_text="Null: an unresolved problem is reported once.",
    )
    quiet_from = WallTimeField(required=False, allow_null=True)
    quiet_until = WallTimeField(required=False, allow_null=True)
    digest_at = WallTimeField(required=False)

    class Meta:
        model = NotificationRule
        fields = (
            "id",
            "service_name",
            "service_glob",
            "selector",
            "name",
            "event_types",
            "min_severity",
            "channels",
            "delay_seconds",
            "group_seconds",
            "repeat_every_seconds",
            "sends_resolved",
            "quiet_from",
            "quiet_until",
            "time_zone",
            "digest",
            "digest_at",
            "is_enabled",
        )


class RuleFilters(django_filters.FilterSet):
    service = ServiceFilter()


class NotificationRuleViewSet(ConfiguredViewSet):
    """Which events are sent to which channels; the rules of one service, or of all."""

    required_scopes = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}
    kind = rules.RULE
    serializer_class = NotificationRuleShape
    pagination_class = resources.pages("notification_rules")
    filterset_class = RuleFilters
    queryset = NotificationRule.objects.select_related("service")


class AlertSerializer(serializers.ModelSerializer[Alert]):
    rule = serializers.CharField(source="rule.name")
    service_name = serializers.CharField(allow_null=True)
    subject = serializers.CharField(allow_null=True, help_text="Such as the instance.")
    message = serializers.CharField(source="text")
    acknowledged_by = serializers.CharField(help_text="Empty: not acknowledged.")

    class Meta:
        model = Alert
        fields: tuple[str, ...] = (
            "id",
            "rule",
            "service_name",
            "problem",
            "subject",
            "event_type",
            "severity",
            "message",
            "state",
            "is_momentary",
            "occurrences",
            "opened_at",
            "acknowledged_at",
            "acknowledged_by",
            "resolved_at",
            "due_at",
            "sent_at",
        )


class AlertFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")
    state = resources.ChoiceParameter(choices=Alert.State.choices)
    severity = resources.ChoiceParameter(choices=Severity.choices)
    problem = django_filters.CharFilter(max_length=64)
    since = resources.TimeParameter(field_name="opened_at", lookup_expr="gte")


class AlertViewSet(resources.ResourceViewSet):
    """What the rules found, the newest first: problems, open or resolved, and events that were sent."""

    required_scopes = {"GET": READ}
    serializer_class = AlertSerializer
    pagination_class = resources.pages("alerts", ordering=("-opened_at", "-id"))
    filterset_class = AlertFilters
    queryset = Alert.objects.select_related("rule")
    lookup_url_kwarg = "alert_id"

    def get_queryset(self) -> QuerySet[Alert]:
        return alerts.visible_alerts(by=accounts.caller_of(self.request.user)).select_related(
            "rule"
        )


class AcknowledgeAlertView(api.SagaView):
    """The caller sees to it: an alert that is acknowledged is not repeated, unless it becomes worse."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": READ}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="acknowledge_alert",
        summary="Acknowledge an open alert, in PagerDuty as well",
        tags=["alerts"],
        parameters=[OpenApiParameter("alert_id", str, OpenApiParameter.PATH)],
        request=None,
        responses={200: AlertSerializer},
    )
    def post(self, request: Request, alert_id: str) -> Response:
        by = accounts.caller_of(request.user)
        is_number = _NUMBER.fullmatch(alert_id) is not None
        if not is_number or not alerts.visible_alerts(by=by).filter(pk=int(alert_id)).exists():
            raise errors.AlertNotFound(f"There is no alert {alert_id[:64]!r}.")
        name = "anonymous" if by is None else str(by)
        alert = alerts.acknowledge_alert(int(alert_id), by=name, now=timezone.now())
        return Response(AlertSerializer(alert).data)
