"""Health checks that staff configure, by the operation that the API calls."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display

from registry.admin.audited import AuditedAdmin, ConfiguredForm
from registry.models import CheckedInstance, HealthCheck
from registry.operations import health_checks


class HealthCheckForm(ConfiguredForm):
    kind = health_checks.CHECK

    class Meta:
        labels = {"is_enabled": "Enabled"}


class ResultInline(TabularInline):
    model = CheckedInstance
    extra = max_num = 0
    can_delete = False
    fields = readonly_fields = (
        "instance_id",
        "verdict",
        "reason",
        "since",
        "checked_at",
        "certificate_expires_at",
    )
    verbose_name_plural = "Results"

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(HealthCheck)
class HealthCheckAdmin(AuditedAdmin):
    kind = health_checks.CHECK
    form = HealthCheckForm
    inlines = (ResultInline,)
    list_display = ("name", "service", "kind", "called", "interval_seconds", "node", "is_enabled")
    list_filter = ("is_enabled", "kind", "node")
    search_fields = ("name", "service__name", "url")
    autocomplete_fields = ("service",)

    @display(description="Calls")
    def called(self, check: HealthCheck) -> str:
        if check.kind == HealthCheck.Kind.TCP:
            return f"port {check.port}" if check.port else "the port of the instance"
        return check.url or "the instance's health_check_url"
