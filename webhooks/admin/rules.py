"""Notification rules, and the alerts that they found."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from saga_project.shared.admin.readonly import Journal
from saga_project.shared.errors import SagaError
from updates.admin.audited import AuditedAdmin, ConfiguredForm
from webhooks.models import Alert, NotificationRule
from webhooks.operations import alerts, rules


class NotificationRuleForm(ConfiguredForm):
    kind = rules.RULE
    event_types = SimpleArrayField(
        forms.CharField(max_length=64),
        widget=UnfoldAdminTextInputWidget(),
        help_text="With commas: deployment.failed, service.*",
    )
    channels = SimpleArrayField(
        forms.CharField(max_length=64),
        widget=UnfoldAdminTextInputWidget(),
        help_text="With commas: the service's own channels of these names, else the global ones.",
    )

    class Meta:
        labels = {
            "service_glob": "Names of services",
            "selector": "Labels of services",
            "min_severity": "From severity",
            "delay_seconds": "Delay in seconds",
            "group_seconds": "Group for seconds",
            "repeat_every_seconds": "Repeat every seconds",
            "sends_resolved": "Report the end",
            "is_enabled": "Enabled",
        }


@admin.register(NotificationRule)
class NotificationRuleAdmin(AuditedAdmin):
    kind = rules.RULE
    form = NotificationRuleForm
    list_display = (
        "name",
        "applies_to",
        "types",
        "min_severity",
        "targets",
        "digest",
        "is_enabled",
    )
    list_filter = ("is_enabled", "min_severity", "digest")
    search_fields = ("name", "service__name")
    autocomplete_fields = ("service",)
    fields = (
        "name",
        ("service", "service_glob"),
        "selector",
        ("event_types", "min_severity"),
        "channels",
        ("delay_seconds", "group_seconds"),
        ("repeat_every_seconds", "sends_resolved"),
        ("quiet_from", "quiet_until", "time_zone"),
        ("digest", "digest_at"),
        "is_enabled",
    )

    @display(description="Of", ordering="service__name")
    def applies_to(self, rule: NotificationRule) -> str:
        return rule.service.name if rule.service else rule.service_glob

    @display(description="Events")
    def types(self, rule: NotificationRule) -> str:
        return ", ".join(rule.event_types)

    @display(description="Channels")
    def targets(self, rule: NotificationRule) -> str:
        return ", ".join(rule.channels)


@admin.register(Alert)
class AlertAdmin(Journal):
    list_display = (
        "service_name",
        "text",
        "shown_severity",
        "shown_state",
        "occurrences",
        "opened_at",
        "resolved_at",
        "sent_at",
        "acknowledged_by",
    )
    list_filter = ("state", "severity", "opened_at")
    search_fields = ("=service_name", "=problem", "=subject")
    search_help_text = "A service, a problem or an instance, in full."
    list_select_related = ("rule",)
    actions = ("acknowledge_alerts",)

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("webhooks.acknowledge_alert"))

    @action(description="Acknowledge", permissions=["acknowledge"])
    def acknowledge_alerts(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        by = request.user.get_username()
        for alert in queryset:
            try:
                alerts.acknowledge_alert(alert.pk, by=by, now=timezone.now())
            except SagaError as exc:
                messages.error(request, f"{alert}: {exc.message}")
            else:
                messages.success(request, f"{alert}: acknowledged.")

    @display(
        description="Severity",
        label={"critical": "danger", "error": "danger", "warning": "warning", "info": "info"},
    )
    def shown_severity(self, alert: Alert) -> str:
        return alert.severity

    @display(
        description="State",
        label={"open": "warning", "acknowledged": "info", "resolved": "success"},
    )
    def shown_state(self, alert: Alert) -> str:
        if alert.is_momentary:
            return "sent"
        is_seen_to = alert.state == Alert.State.OPEN and alert.acknowledged_at is not None
        return "acknowledged" if is_seen_to else alert.state
