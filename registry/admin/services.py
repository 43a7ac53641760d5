"""Services and their instances, with presence as it is at this moment."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from registry import accounts, directory, operations
from registry.admin import verbs
from registry.directory import InstanceEntry, ServiceEntry
from registry.models import Instance, Service
from saga_project.errors import RedisUnavailable

STATES = ("up", "degraded", "gone", "pending", "rejected", "left")
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
        is_blocked_by_subscriptions=True,
    )


APPROVE = verbs.Verb(
    action="approve_services",
    title="Approve",
    consequence="Lookups will find these services as long as they send heartbeats.",
    done="Approved",
    do=_approve,
)
REJECT = verbs.Verb(
    action="reject_services",
    title="Reject",
    consequence="Lookups will not find these services. Their heartbeats are still recorded.",
    done="Rejected",
    do=_reject,
    has_reason=True,
    is_reason_needed=True,
)
DEREGISTER = verbs.Verb(
    action="deregister_services",
    title="Deregister",
    consequence="These services and all their instances leave the registry now. They may register again.",
    done="Deregistered",
    do=_deregister,
    has_reason=True,
)


# --- Presence -------------------------------------------------------------------------------------


def _entry(name: str) -> ServiceEntry | None:
    """Return what readers see of a service, approved or not; raises RedisUnavailable."""
    return directory.find(name)


def _live_instance(instance: Instance) -> InstanceEntry | None:
    entry = _entry(instance.service.name)
    live = entry.live(directory.now_us()) if entry is not None else []
    return next((row for row in live if row.instance_id == instance.instance_id), None)


class InstanceInline(TabularInline):
    model = Instance
    fields = ("instance_id", "url", "version", "zone", "weight", "health", "state", "is_draining")
    readonly_fields = fields
    can_delete = False
    max_num = 0
    show_change_link = True
    tab = True


class StateFilter(admin.SimpleListFilter):
    """The word that the dashboard counts by."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word.capitalize()) for word in STATES]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        word = self.value()
        return queryset.in_state(word) if word else queryset


@admin.register(Service)
class ServiceAdmin(ModelAdmin):
    list_display = (
        "name",
        "status_label",
        "health_label",
        "presence",
        "version",
        "owner",
        "last_heartbeat",
        "registered_at",
    )
    list_filter = (StateFilter, "status", "health_status", "is_auto_approved", "category")
    list_select_related = ("account",)
    list_per_page = 50
    search_fields = ("name", "display_name", "description", "app_id", "contact_email", "version")
    date_hierarchy = "registered_at"
    ordering = ("name",)
    inlines = (InstanceInline,)
    actions = ("approve_services", "reject_services", "deregister_services")
    actions_detail = ("approve_service", "reject_service", "deregister_service")
    warn_unsaved_form = True
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "display_name"),
                    ("status_label", "health_label"),
                    ("presence", "last_heartbeat"),
                    "status_reason",
                    "notes",
                )
            },
        ),
        (
            "Profile",
            {
                "fields": (
                    ("version", "previous_version"),
                    "description",
                    ("app_id", "category", "contact_email"),
                    "health_check_url",
                    "capabilities",
                    "endpoints",
                    "metadata",
                )
            },
        ),
        (
            "Registration",
            {
                "fields": (
                    ("service_id", "account"),
                    ("registered_at", "updated_at"),
                    ("heartbeat_interval_seconds", "consecutive_misses"),
                    ("is_auto_approved", "approved_at", "approved_by"),
                    ("canary_version", "canary_percent"),
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Everything but the notes is what programs said, or what became of it."""
        names = ["status_label", "health_label", "presence", "last_heartbeat"]
        return names + [field.name for field in Service._meta.fields if field.name != "notes"]

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        # Only what was edited: heartbeats write the rest at the same time.
        obj.save(update_fields=form.changed_data)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_approve_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("registry.approve_service"))

    def has_deregister_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("registry.deregister_service"))

    # --- Columns ---

    @display(
        description="Status",
        ordering="status",
        label={
            "Active": "success",
            "Pending Approval": "info",
            "Degraded": "warning",
            "Rejected": "danger",
        },
    )
    def status_label(self, service: Service) -> str:
        return Service.Status(service.status).label

    @display(
        description="Health",
        ordering="health_status",
        label={"Healthy": "success", "Degraded": "warning", "Unreachable": "danger"},
    )
    def health_label(self, service: Service) -> str:
        return Service.Health(service.health_status).label

    @display(description="Owner", ordering="account__name", empty_value="nobody")
    def owner(self, service: Service) -> str | None:
        return service.account.name if service.account else None

    @display(description="Presence")
    def presence(self, service: Service) -> str:
        try:
            entry = _entry(service.name)
        except RedisUnavailable:
            return UNKNOWN
        count = len(entry.live(directory.now_us())) if entry is not None else 0
        return f"{count} live" if count else "none live"

    @display(description="Last heartbeat", ordering="last_heartbeat_at", empty_value="never")
    def last_heartbeat(self, service: Service) -> Any:
        try:
            entry = _entry(service.name)
        except RedisUnavailable:
            entry = None
        if entry is None:
            return service.last_heartbeat_at
        return max(row.last_heartbeat_at for row in entry.live(directory.now_us()))

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

    @action(description="Approve", permissions=["approve"], url_path="approve")
    def approve_service(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return verbs.ask(self, request, Service.objects.filter(pk=object_id), APPROVE)

    @action(description="Reject", permissions=["approve"], url_path="reject")
    def reject_service(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return verbs.ask(self, request, Service.objects.filter(pk=object_id), REJECT)

    @action(description="Deregister", permissions=["deregister"], url_path="deregister")
    def deregister_service(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return verbs.ask(self, request, Service.objects.filter(pk=object_id), DEREGISTER)


@admin.register(Instance)
class InstanceAdmin(verbs.ReadOnly):
    list_display = (
        "instance_id",
        "service",
        "presence",
        "health_label",
        "state",
        "version",
        "zone",
        "url",
        "last_heartbeat",
    )
    list_filter = ("state", "health", "is_draining", "zone")
    list_select_related = ("service",)
    list_per_page = 50
    search_fields = ("service__name", "instance_id", "url", "version", "zone")
    date_hierarchy = "registered_at"
    ordering = ("service__name", "instance_id")

    @display(description="Presence", label={"live": "success", "gone": "danger"})
    def presence(self, instance: Instance) -> str:
        try:
            return "live" if _live_instance(instance) is not None else "gone"
        except RedisUnavailable:
            return UNKNOWN

    @display(
        description="Health",
        ordering="health",
        label={"Passing": "success", "Warning": "warning", "Critical": "danger"},
    )
    def health_label(self, instance: Instance) -> str:
        return Instance.Health(instance.health).label

    @display(description="Last heartbeat", ordering="last_heartbeat_at")
    def last_heartbeat(self, instance: Instance) -> Any:
        try:
            live = _live_instance(instance)
        except RedisUnavailable:
            live = None
        return live.last_heartbeat_at if live is not None else instance.last_heartbeat_at
