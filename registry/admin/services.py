"""Services and their instances, with presence as it is at this moment; a service's page is the console's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from registry import directory, operations
from registry.admin.service_filters import (
    CapabilityFilter,
    LabelFilter,
    StateFilter,
    VersionRangeFilter,
    ZoneFilter,
)
from registry.directory import InstanceEntry
from registry.identity import accounts
from registry.models import Instance, Service
from saga_project.shared import labels
from saga_project.shared.admin import readonly, verbs
from saga_project.shared.errors import RedisUnavailable

UNKNOWN = "unknown (Redis is not available)"


def _approve(request: HttpRequest, service: Service, _reason: str) -> None:
    operations.approve(service.name, by=request.user.get_username(), now=timezone.now())


def _reject(request: HttpRequest, service: Service, reason: str) -> None:
    by = request.user.get_username()
    operations.reject(service.name, by=by, reason=reason, now=timezone.now())


def _deregister(request: HttpRequest, service: Service, reason: str) -> None:
    operations.deregister(
        service.name,
        by=accounts.staff(request.user.get_username()),
        now=timezone.now(),
        reason=reason,
    )


APPROVE = verbs.Verb(
    name="approve_services",
    label="Approve",
    consequences=["Lookups will find these services as long as they send heartbeats."],
    done="Approved",
    does=_approve,
)
REJECT = verbs.Verb(
    name="reject_services",
    label="Reject",
    consequences=["Lookups will not find these services. Their heartbeats are still recorded."],
    done="Rejected",
    does=_reject,
    choices=[verbs.REQUIRED_REASON],
)
DEREGISTER = verbs.Verb(
    name="deregister_services",
    label="Deregister",
    consequences=[
        "These services and all their instances leave the registry now. They may register again."
    ],
    done="Deregistered",
    does=_deregister,
    choices=[verbs.REASON],
)


# --- Presence -------------------------------------------------------------------------------------


def _live(name: str) -> list[InstanceEntry]:
    """Return a service's live instances, approved or not; raises RedisUnavailable.

    A whole replica is trusted also if it holds no instance: a list asks for each of its rows.
    """
    entry = directory.peek(name) if directory.is_whole() else directory.find(name)
    return entry.live(directory.now_us()) if entry is not None else []


@admin.register(Service)
class ServiceAdmin(readonly.ReadOnly):
    list_display = (
        "name",
        "state_label",
        "presence",
        "version",
        "owner",
        "labels_label",
        "last_heartbeat_at",
        "registered_at",
    )
    list_filter = (
        StateFilter,
        LabelFilter,
        CapabilityFilter,
        ZoneFilter,
        VersionRangeFilter,
        "status",
        "health_status",
        "is_auto_approved",
        "category",
    )
    list_select_related = ("account",)
    list_per_page = 50
    search_fields = ("name", "display_name", "description", "app_id", "contact_email", "version")
    date_hierarchy = "registered_at"
    ordering = ("name",)
    actions = ("approve_services", "reject_services", "deregister_services")

    def get_queryset(self, request: HttpRequest) -> Any:
        return Service.objects.with_state()

    def has_approve_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("registry.approve_service"))

    def has_deregister_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("registry.deregister_service"))

    # --- Columns ---

    @display(
        description="State",
        ordering="state",
        label={"up": "success", "degraded": "warning", "expired": "danger", "pending": "warning"},
    )
    def state_label(self, service: Any) -> str:
        return str(service.state)

    @display(description="Owner", ordering="account__name", empty_value="none")
    def owner(self, service: Service) -> str | None:
        return service.account.name if service.account else None

    @display(description="Labels", empty_value="none")
    def labels_label(self, service: Service) -> str | None:
        return labels.show(service.labels) or None

    @display(description="Presence")
    def presence(self, service: Service) -> str:
        try:
            count = len(_live(service.name))
        except RedisUnavailable:
            return UNKNOWN
        return f"{count} live" if count else "none live"

    # --- Actions ---

    @action(description="Approve", permissions=["approve"])
    def approve_services(
        self, request: HttpRequest, queryset: QuerySet[Service]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, APPROVE)

    @action(description="Reject, with a reason", permissions=["approve"])
    def reject_services(
        self, request: HttpRequest, queryset: QuerySet[Service]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, REJECT)

    @action(description="Deregister", permissions=["deregister"])
    def deregister_services(
        self, request: HttpRequest, queryset: QuerySet[Service]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, DEREGISTER)


@admin.register(Instance)
class InstanceAdmin(readonly.ReadOnly):
    list_display = (
        "instance_id",
        "service",
        "presence",
        "health_label",
        "version",
        "zone",
        "url",
        "last_heartbeat_at",
    )
    list_filter = ("state", "health", "is_draining", "zone")
    list_select_related = ("service",)
    list_per_page = 50
    search_fields = ("service__name", "instance_id", "url", "version", "zone")
    date_hierarchy = "registered_at"
    ordering = ("service__name", "instance_id")

    @display(description="Presence", label={"live": "success", "expired": "danger"})
    def presence(self, instance: Instance) -> str:
        try:
            live = _live(instance.service.name)
        except RedisUnavailable:
            return UNKNOWN
        is_live = any(entry.instance_id == instance.instance_id for entry in live)
        return "live" if is_live else "expired"

    @display(
        description="Health",
        ordering="health",
        label={"Passing": "success", "Warning": "warning", "Critical": "danger"},
    )
    def health_label(self, instance: Instance) -> str:
        return Instance.Health(instance.combined_health).label
