"""Notification rules, and the alerts that they found."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from saga_project.shared.admin.readonly import Journal
from updates.admin.audited import AuditedAdmin, ConfiguredForm
from webhooks.models import Alert, NotificationRule
from webhooks.operations import rules


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
            "sends_resolved": "Tell the end",
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
        "told_at",
    )
    list_filter = ("state", "severity", "opened_at")
    search_fields = ("=service_name", "=problem", "=subject")
    search_help_text = "A service, a problem or an instance, in full."
    list_select_related = ("rule",)

    @display(
        description="Severity",
        label={"critical": "danger", "error": "danger", "warning": "warning", "info": "info"},
    )
    def shown_severity(self, alert: Alert) -> str:
        return alert.severity

    @display(description="State", label={"open": "warning", "resolved": "success"})
    def shown_state(self, alert: Alert) -> str:
        return "told" if alert.is_momentary else alert.state
