"""Services and their instances, as PostgreSQL keeps them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Case, Count, Exists, OuterRef, Q, Value, When

from registry.models.account import ServiceAccount
from registry.models.lengths import MAX_NAME_LENGTH, MAX_URL_LENGTH


class ServiceQuerySet(models.QuerySet["Service"]):
    def approved(self) -> ServiceQuerySet:
        return self.filter(status__in=Service.APPROVED)

    def registered(self) -> ServiceQuerySet:
        return self.exclude(status=Service.Status.DEREGISTERED)

    def with_state(self) -> ServiceQuerySet:
        """Add ``state``, one word for people: what staff decided, else whether it lives, and how well."""
        return self.annotate(state=_state())

    def count_by_state(self) -> dict[str, int]:
        rows = self.order_by().annotate(state=_state()).values_list("state")
        return dict(rows.annotate(count=Count("pk")))


def _state() -> Case:
    is_live = Exists(Instance.objects.live().filter(service=OuterRef("pk")))
    is_ill = Q(status=Service.Status.DEGRADED) | ~Q(health_status=Service.Health.HEALTHY)
    return Case(
        When(status=Service.Status.PENDING_APPROVAL, then=Value("pending")),
        When(status=Service.Status.REJECTED, then=Value("rejected")),
        When(status=Service.Status.DEREGISTERED, then=Value("left")),
        When(~is_live | Q(health_status=Service.Health.UNREACHABLE), then=Value("expired")),
        When(is_ill, then=Value("degraded")),
        default=Value("up"),
    )


class Service(models.Model):
    class Status(models.TextChoices):
        PENDING_APPROVAL = "pending_approval"
        ACTIVE = "active"
        DEGRADED = "degraded"
        REJECTED = "rejected"
        DEREGISTERED = "deregistered"

    class Health(models.TextChoices):
        HEALTHY = "healthy"
        DEGRADED = "degraded"
        UNREACHABLE = "unreachable"

    APPROVED = (Status.ACTIVE, Status.DEGRADED)
    #: Each status and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        Status.ACTIVE: (
            Status.PENDING_APPROVAL,
            Status.DEGRADED,
            Status.REJECTED,
            Status.DEREGISTERED,
        ),
        Status.DEGRADED: (Status.ACTIVE,),
        Status.REJECTED: (Status.PENDING_APPROVAL, Status.ACTIVE, Status.DEGRADED),
        Status.PENDING_APPROVAL: (Status.DEREGISTERED, Status.REJECTED),
        Status.DEREGISTERED: tuple(status for status in Status if status != "deregistered"),
    }

    service_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=MAX_NAME_LENGTH, unique=True, db_collation="C")
    display_name = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    app_id = models.CharField(max_length=255, blank=True)
    category = models.CharField(max_length=255, blank=True)
    contact_email = models.CharField(max_length=320, blank=True)
    health_check_url = models.CharField(max_length=MAX_URL_LENGTH, blank=True)
    capabilities = models.JSONField(default=list, blank=True)
    endpoints = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    labels: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        help_text='Such as {"env": "prod"}; lists and notification rules select by them.',
    )
    heartbeat_interval_seconds = models.PositiveIntegerField(default=30)
    version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    previous_version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    status = models.CharField(
        max_length=20, choices=Status.choices, default=Status.PENDING_APPROVAL, db_index=True
    )
    status_reason = models.TextField(blank=True)
    health_status = models.CharField(
        max_length=12, choices=Health.choices, default=Health.HEALTHY, db_index=True
    )
    consecutive_misses = models.PositiveIntegerField(default=0)
    account = models.ForeignKey(
        ServiceAccount, null=True, blank=True, on_delete=models.SET_NULL, related_name="owned"
    )
    is_auto_approved = models.BooleanField(default=False)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=255, blank=True)
    last_heartbeat_at = models.DateTimeField(null=True, blank=True)
    reported_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="What a webhook last reported of it; an older report changes nothing.",
    )
    registered_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()
    maintenance_since = models.DateTimeField(
        null=True, blank=True, help_text="Staff took it out of the lookups then."
    )
    maintenance_reason = models.CharField(max_length=1000, blank=True, default="", db_default="")
    canary_version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    canary_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    notes = models.TextField(blank=True, help_text="For staff; no program reads it.")
    revision = models.BigIntegerField(
        default=1, editable=False, help_text="Grows with every change that readers must see."
    )

    objects = ServiceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        permissions = [
            ("approve_service", "Can approve and reject services"),
            ("deregister_service", "Can deregister services"),
        ]
        constraints = [
            models.CheckConstraint(
                name="canary_has_version_and_share",
                condition=Q(canary_percent__isnull=True)
                | Q(canary_percent__range=(0, 100)) & ~Q(canary_version=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InstanceQuerySet(models.QuerySet["Instance"]):
    def live(self) -> InstanceQuerySet:
        return self.filter(state=Instance.State.LIVE)


class Instance(models.Model):
    """One running copy of a service. ``state`` follows presence: the sweep moves it, not the clock."""

    class State(models.TextChoices):
        LIVE = "live"
        EXPIRED = "expired"
        DEREGISTERED = "deregistered"

    class Health(models.TextChoices):
        PASSING = "passing"
        WARNING = "warning"
        CRITICAL = "critical"

    STATE_FIELD = "state"
    #: Each state and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        # From live where an instance registers again before it has expired.
        State.LIVE: (State.LIVE, State.EXPIRED, State.DEREGISTERED),
        State.EXPIRED: (State.LIVE,),
        State.DEREGISTERED: (State.LIVE,),
    }

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="instances")
    instance_id = models.CharField(max_length=MAX_NAME_LENGTH, default="default", db_collation="C")
    url = models.CharField(max_length=MAX_URL_LENGTH)
    capabilities = models.JSONField(default=list, blank=True)
    version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    health_check_url = models.CharField(max_length=MAX_URL_LENGTH, blank=True)
    weight = models.PositiveIntegerField(default=1)
    zone = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    ttl_seconds = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.LIVE)
    health = models.CharField(max_length=8, choices=Health.choices, default=Health.PASSING)
    check_health = models.CharField(
        max_length=8,
        choices=Health.choices,
        default=Health.PASSING,
        db_default=Health.PASSING.value,
        help_text="What Saga's own checks say; the worse of it and of health counts.",
    )
    note = models.TextField(blank=True)
    is_draining = models.BooleanField(
        default=False, help_text="Left out of lookups while a deployment works on it."
    )
    maintenance_since = models.DateTimeField(
        null=True, blank=True, help_text="Staff took it out of the lookups then."
    )
    maintenance_reason = models.CharField(max_length=1000, blank=True, default="", db_default="")
    registered_at = models.DateTimeField()
    last_heartbeat_at = models.DateTimeField(help_text="As last flushed; presence knows better.")
    gone_at = models.DateTimeField(null=True, blank=True)

    objects = InstanceQuerySet.as_manager()

    class Meta:
        ordering = ["service_id", "instance_id"]
        constraints = [
            models.UniqueConstraint(fields=["service", "instance_id"], name="one_row_per_instance"),
            models.CheckConstraint(
                name="weight_fits_srv", condition=Q(weight__gte=0, weight__lte=65535)
            ),
            models.CheckConstraint(
                name="ttl_between_5_s_and_3_days", condition=Q(ttl_seconds__range=(5, 259200))
            ),
        ]
        indexes = [
            models.Index(fields=["service"], name="live_instances", condition=Q(state="live")),
        ]

    def __str__(self) -> str:
        return f"{self.service.name}/{self.instance_id}"

    @property
    def is_left_out(self) -> bool:
        """Whether lookups leave it out while others are there: for a deployment, or for staff."""
        return self.is_draining or self.maintenance_since is not None

    @property
    def combined_health(self) -> str:
        """Return the worse of what the instance says of itself and what checks say of it."""
        return max(self.health, self.check_health, key=_FROM_BEST.index)


_FROM_BEST = [health.value for health in Instance.Health]
