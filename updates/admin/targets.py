"""Targets: where services are installed. Editing one decides what runs on its machine."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from saga_project.shared import crypto
from updates.admin.audited import AuditedAdmin, ConfiguredForm
from updates.models import Target
from updates.operations import settings
from updates.rollouts import environments

WHERE_IT_RUNS = "updates.change_where_it_runs"


class TargetForm(ConfiguredForm):
    kind = settings.TARGET

    deployer_key = forms.CharField(
        required=False,
        max_length=512,
        widget=UnfoldAdminPasswordWidget(render_value=False),
        help_text="Signs the calls to the deployer. Kept encrypted and never shown; empty keeps it.",
    )

    sealed_variables = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Secret variables, one NAME=value a line; they replace those that are stored."
        " Kept encrypted and never shown; empty keeps them.",
    )
    forgets_sealed_variables = forms.BooleanField(
        required=False, label="Forget the stored secret variables"
    )

    class Meta:
        labels = {
            "is_enabled": "Enabled",
            "deployer_url": "Deployer URL",
            "instance_id": "Instance",
            "is_registry_gate": "Registry gate",
            "health_url": "Health URL",
            "min_healthy_seconds": "Minimum healthy seconds",
            "metric_url": "Prometheus URL",
            "metric_min_samples": "Minimum samples",
        }
        help_texts = {
            "name": "Unique among the targets of the service; it stands in every step's message.",
            "node": "A worker that consumes the queue node.NAME does the work, on its own disk.",
            "zone": "For people; a deployment's order is the position.",
            "keep_releases": "Releases that stay on disk for an immediate rollback.",
            "restart": "How the service is brought to run the new release.",
            "restart_signal": "Sent to the process of a pid file.",
            "health_url": "Answers 2xx while the service is well. Empty: not asked.",
            "health_interval_seconds": "Between two questions.",
            "healthy_deadline_seconds": "A release that is not healthy by then is rolled back.",
            "metric_query": "PromQL that yields one number. Empty: not asked.",
            "metric_minimum": "Less is a bad release; empty: no lower bound.",
            "metric_maximum": "More is a bad release; empty: no upper bound.",
            "metric_min_samples": "With fewer the result is inconclusive, and the deployment is paused.",
        }

    def clean_environment(self) -> Any:
        return self.cleaned_data["environment"] or {}

    def clean_hooks(self) -> Any:
        return self.cleaned_data["hooks"] or {}

    def clean_instances(self) -> Any:
        return self.cleaned_data["instances"] or []

    def clean_installer_options(self) -> Any:
        return self.cleaned_data["installer_options"] or {}

    def clean_sealed_variables(self) -> dict[str, str]:
        lines = [
            line for line in self.cleaned_data["sealed_variables"].splitlines() if line.strip()
        ]
        if not all("=" in line for line in lines):
            raise forms.ValidationError("Each line is NAME=value.")
        values = {name.strip(): value for name, _, value in (line.partition("=") for line in lines)}
        if fault := environments.fault(values):
            raise forms.ValidationError(fault)
        return values


@admin.register(Target)
class TargetAdmin(AuditedAdmin):
    kind = settings.TARGET
    form = TargetForm
    list_display = [
        "name",
        "service",
        "node",
        "zone",
        "installer",
        "restart",
        "current_version",
        "is_enabled",
    ]
    list_filter = ["installer", "restart", "is_enabled"]
    search_fields = ["=service__name", "name", "node"]
    autocomplete_fields = ["service"]
    readonly_fields = ["current_version", "sealed_names"]
    fieldsets = [
        (None, {"fields": ["service", "name", "position", "zone", "node", "slot", "is_enabled"]}),
        (
            "How it is installed",
            {
                "fields": [
                    "installer",
                    "instances",
                    "install_root",
                    "keep_releases",
                    "installer_options",
                    "deployer_url",
                    "deployer_key",
                    "current_version",
                ]
            },
        ),
        (
            "How it is restarted",
            {"fields": ["restart", "restart_with", "restart_signal", "restart_timeout_seconds"]},
        ),
        ("Hooks", {"fields": ["hooks"]}),
        (
            "Environment of its commands",
            {
                "fields": [
                    "environment",
                    "sealed_names",
                    "sealed_variables",
                    "forgets_sealed_variables",
                ]
            },
        ),
        (
            "How we know that it runs",
            {
                "fields": [
                    "instance_id",
                    "drain_seconds",
                    "is_registry_gate",
                    "health_url",
                    "health_successes",
                    "health_interval_seconds",
                    "min_healthy_seconds",
                    "healthy_deadline_seconds",
                    "metric_url",
                    "metric_query",
                    "metric_minimum",
                    "metric_maximum",
                    "metric_samples_query",
                    "metric_min_samples",
                ]
            },
        ),
    ]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(WHERE_IT_RUNS)) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return bool(request.user.has_perm(WHERE_IT_RUNS)) and allowed

    def save_model(self, request: HttpRequest, obj: Target, form: Any, change: bool) -> None:
        if key := form.cleaned_data.get("deployer_key"):
            obj.sealed_deployer_secret = crypto.encrypt(key)
        if form.cleaned_data.get("forgets_sealed_variables"):
            obj.sealed_environment = ""
        elif values := form.cleaned_data.get("sealed_variables"):
            obj.sealed_environment = environments.seal(values)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Target) -> None:
        """Removing the row stops nothing on the node: say what may still run there."""
        for target in (obj, *obj.children.order_by("name")):
            if target.current_version:
                text = (
                    f"{target.current_version} may still run on {target.name} (node {target.node}): Saga"
                    " stopped nothing there. Stop it by hand."
                )
                messages.warning(request, text)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Target]) -> None:
        for target in queryset:
            self.delete_model(request, target)

    @admin.display(description="Stored secret variables")
    def sealed_names(self, target: Target) -> str:
        return ", ".join(sorted(environments.unseal(target.sealed_environment))) or "none"
