"""Notification rules, and the alerts that they found."""

from __future__ import annotations

import django_filters
from django.db.models import Q, QuerySet
from rest_framework import serializers

from registry.api.configured import ConfiguredViewSet, ServiceFilter, ServiceNameField
from registry.identity import accounts
from saga_project.shared.api import fields, resources
from updates.api.calendar import WallTimeField
from webhooks import operations
from webhooks.models import Alert, NotificationRule, Severity
from webhooks.operations import rules

READ, WRITE = "webhooks:manage", "rules:write"


class NotificationRuleShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(
        source="service",
        required=False,
        allow_null=True,
        help_text="Null: of every service whose name fits service_glob.",
    )
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
        help_text="Null: an unresolved problem is told once.",
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
    """Which events are told to which channels; the rules of one service, or of all."""

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
            "resolved_at",
            "due_at",
            "told_at",
        )


class AlertFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")
    state = resources.ChoiceParameter(choices=Alert.State.choices)
    severity = resources.ChoiceParameter(choices=Severity.choices)
    problem = django_filters.CharFilter(max_length=64)
    since = resources.TimeParameter(field_name="opened_at", lookup_expr="gte")


class AlertViewSet(resources.ResourceViewSet):
    """What the rules found, the newest first: problems, open or resolved, and events that were told."""

    required_scopes = {"GET": READ}
    serializer_class = AlertSerializer
    pagination_class = resources.pages("alerts", ordering=("-opened_at", "-id"))
    filterset_class = AlertFilters
    queryset = Alert.objects.select_related("rule")
    lookup_url_kwarg = "alert_id"

    def get_queryset(self) -> QuerySet[Alert]:
        by = accounts.caller_of(self.request.user)
        is_shown = Q() if by is not None and by.is_admin else operations.not_of_others(by)
        return super().get_queryset().filter(is_shown)
