"""The registry's durable rows; live instances are in Redis (``presence``)."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, Count, Exists, F, Func, OuterRef, Q, Value, When
from django.db.models.functions import Cast

MAX_NAME_LENGTH = 128
MAX_URL_LENGTH = 2048


class ServiceAccount(models.Model):
    """A program that may speak to us: it owns tokens, scopes and the services that it registers."""

    name = models.CharField(max_length=MAX_NAME_LENGTH, unique=True)
    description = models.TextField(blank=True)
    is_internal = models.BooleanField(default=False, help_text="Its services are approved at once.")
    is_active = models.BooleanField(default=True)
    scopes = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    services = ArrayField(
        models.CharField(max_length=MAX_NAME_LENGTH),
        default=list,
        blank=True,
        help_text="The only services that it may touch; empty means any that are its own or nobody's.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Token(models.Model):
    """A bearer token; its text is shown once, we keep the SHA-256 of it."""

    account = models.ForeignKey(ServiceAccount, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    prefix = models.CharField(max_length=12, db_index=True)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class CallersRevision(models.Model):
    """One row, to which triggers give another value with every change of a token or an account."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    value = models.UUIDField()

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def current(cls) -> str:
        """Return a text that is another one after each commit that changed a token or an account."""
        values = cls.objects.values_list("value", flat=True)
        return str(next(iter(values), ""))


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
        When(~is_live | Q(health_status=Service.Health.UNREACHABLE), then=Value("gone")),
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
    canary_version = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    canary_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    notes = models.TextField(blank=True, help_text="For people; no program reads it.")
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
    note = models.TextField(blank=True)
    is_draining = models.BooleanField(
        default=False, help_text="Left out of lookups while a deployment works on it."
    )
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


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def blocking(self) -> SubscriptionQuerySet:
        """Return those that keep their service registered.

        Where an account owns the service, its own count, and those of others that it accepted.
        """
        is_own = Q(account=F("service__account"))
        is_counted = Q(service__account=None) | Q(is_accepted=True) | is_own
        return self.exclude(state=Subscription.State.CANCELLED).filter(is_counted)

    def visible_to(self, *, account_id: int | None) -> SubscriptionQuerySet:
        """Return an account's own, those of its services, and those that no account owns on either side."""
        if account_id is None:
            return self.filter(account=None)
        is_unowned = Q(account=None, service__account=None)
        return self.filter(
            Q(account_id=account_id) | Q(service__account_id=account_id) | is_unowned
        )


class Subscription(models.Model):
    """A program that depends on a service and gets its events at a callback URL."""

    class State(models.TextChoices):
        PENDING = "pending"
        ACTIVE = "active"
        SUSPENDED = "suspended"
        CANCELLED = "cancelled"

    STATE_FIELD = "state"
    #: Each state and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        State.PENDING: (),
        State.ACTIVE: (State.PENDING, State.SUSPENDED),
        State.SUSPENDED: (State.PENDING, State.ACTIVE),
        State.CANCELLED: (State.PENDING, State.ACTIVE, State.SUSPENDED),
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="subscriptions")
    subscriber = models.CharField(max_length=MAX_NAME_LENGTH)
    callback_url = models.CharField(max_length=MAX_URL_LENGTH, blank=True)
    topics = models.JSONField(default=list, blank=True)
    state = models.CharField(
        max_length=10, choices=State.choices, default=State.ACTIVE, db_index=True
    )
    sealed_secret = models.TextField(blank=True, editable=False)
    account = models.ForeignKey(
        ServiceAccount, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    is_accepted = models.BooleanField(
        default=False,
        help_text="The service's owner accepted it: it keeps the service from being deregistered.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return f"{self.subscriber} → {self.service.name}"


class Event(models.Model):
    """A fact, written in the transaction that made it true, never changed.

    Readers order by (``transaction``, ``id``) and read only below the oldest transaction that is still
    open, so that none is skipped when transactions commit out of order.
    """

    transaction = models.BigIntegerField(
        editable=False,
        db_default=Cast(
            Cast(Func(function="pg_current_xact_id"), models.TextField()), models.BigIntegerField()
        ),
    )
    type = models.CharField(max_length=64)
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_collation="C")
    occurred_at = models.DateTimeField(db_index=True)
    data: models.JSONField[Any, Any] = models.JSONField(default=dict)

    class Meta:
        ordering = ["-transaction", "-id"]
        indexes = [
            models.Index(F("transaction"), F("id"), name="event_cursor"),
            models.Index(F("service_name"), F("transaction"), F("id"), name="event_of_service"),
            models.Index(F("type"), F("transaction"), F("id"), name="event_of_type"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.service_name}"


class EventHorizon(models.Model):
    """Up to where events were purged; a cursor before it cannot be continued. At most one row."""

    transaction = models.BigIntegerField()
    event = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="one_horizon", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"{self.transaction}-{self.event}"


class IdempotencyKey(models.Model):
    """The first 2xx answer to a POST with an ``Idempotency-Key``, kept for 24 hours."""

    account = models.CharField(
        max_length=255, help_text="Empty for an anonymous caller.", blank=True
    )
    route = models.CharField(max_length=512)
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "route", "key"], name="one_answer_per_idempotency_key"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class WorkSlot(models.Model):
    """Permission to do one kind of work, for a limited time; a holder that dies loses it when it expires."""

    work = models.CharField(max_length=32)
    place = models.PositiveSmallIntegerField(default=0)
    holder = models.CharField(max_length=255, help_text="Host and process that have the slot.")
    token = models.UUIDField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["work", "place"], name="one_holder_per_work_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.work} {self.place}"
