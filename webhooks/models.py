"""Inbound calls, deliveries, and their configuration."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH, Service, Subscription

MAX_CHANNEL_LENGTH = 64
MAX_MESSAGE_ID_LENGTH = 255
GLOBAL = ""


class Configuration(models.Model):
    """A service's endpoints and secret; the one without a service is the global configuration."""

    service = models.OneToOneField(
        Service,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="webhook_configuration",
        help_text="Empty for the global configuration.",
    )
    is_administered = models.BooleanField(
        default=False,
        editable=False,
        help_text="Of the global one: an administrator set it, so that only administrators may change it.",
    )
    accepts_global_secret = models.BooleanField(
        default=False,
        help_text="The global secret may also sign for this service, although an account owns it.",
    )
    requires_timestamp = models.BooleanField(
        default=False,
        help_text="Only timestamped signatures count, those of Standard Webhooks.",
    )
    sealed_secret = models.TextField(blank=True, editable=False)
    sealed_previous_secret = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    configured_at = models.DateTimeField()

    class Meta:
        ordering = ["service__name"]
        constraints = [
            models.UniqueConstraint(
                fields=["service"], nulls_distinct=False, name="one_global_configuration"
            ),
            models.CheckConstraint(
                name="previous_secret_has_an_end",
                condition=Q(sealed_previous_secret="") | Q(previous_secret_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.service_name or "global"

    @property
    def service_name(self) -> str:
        return GLOBAL if self.service is None else self.service.name


class Endpoint(models.Model):
    """Where a configuration's channel leads."""

    configuration = models.ForeignKey(
        Configuration, on_delete=models.CASCADE, related_name="endpoints"
    )
    channel = models.CharField(max_length=MAX_CHANNEL_LENGTH, db_collation="C")
    url = models.CharField(max_length=MAX_URL_LENGTH)
    disabled_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when the receiver answered that it is gone (410)."
    )

    class Meta:
        ordering = ["configuration_id", "channel"]
        constraints = [
            models.UniqueConstraint(
                fields=["configuration", "channel"], name="one_endpoint_per_channel"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.configuration}: {self.channel}"


class InboundCall(models.Model):
    """A call to one of the webhook routes, with what became of it; secrets are redacted."""

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted"
        REPEATED = "repeated"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    route = models.CharField(max_length=16)
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_collation="C")
    message_id = models.CharField(max_length=MAX_MESSAGE_ID_LENGTH, blank=True)
    request_digest = models.CharField(max_length=64)
    signed_digest = models.CharField(
        max_length=64,
        blank=True,
        help_text="SHA-256 of a body whose signature covers nothing else; another route refuses it.",
    )
    request_id = models.CharField(max_length=128, blank=True)
    proof = models.CharField(max_length=10, help_text="What the call has shown of the secret.")
    caller = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    is_whole = models.BooleanField(
        default=True, help_text="Only a call that was kept whole can be replayed."
    )
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    status = models.PositiveSmallIntegerField(null=True)
    answer: models.JSONField[Any, Any] = models.JSONField(default=dict)
    received_at = models.DateTimeField(db_index=True)
    replay_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replays"
    )

    class Meta:
        ordering = ["-received_at", "id"]
        permissions = [("replay_inboundcall", "Can replay inbound calls")]
        constraints = [
            models.UniqueConstraint(
                fields=["service_name", "message_id"],
                name="a_message_acts_once",
                condition=Q(verdict="accepted") & ~Q(message_id=""),
            ),
        ]
        indexes = [
            models.Index(fields=["service_name", "-received_at"], name="calls_of_service"),
            models.Index(
                fields=["service_name", "signed_digest"],
                name="signed_bodies_of_service",
                condition=~Q(signed_digest=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.route} {self.service_name}"


class GitHubHook(models.Model):
    """A webhook at GitHub that leads here; what it could not deliver is asked for afterwards."""

    repository = models.CharField(max_length=255, help_text="owner/name")
    hook_id = models.PositiveBigIntegerField()
    api_url = models.CharField(max_length=MAX_URL_LENGTH, default="https://api.github.com")
    sealed_token = models.TextField(blank=True, editable=False)
    is_enabled = models.BooleanField(default=True)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    error = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["repository", "hook_id"]
        verbose_name = "GitHub hook"
        constraints = [
            models.UniqueConstraint(
                fields=["api_url", "repository", "hook_id"], name="one_row_per_github_hook"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repository} #{self.hook_id}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self) -> DeliveryQuerySet:
        """Return deliveries that are due, and those with an expired lease, by PostgreSQL's clock."""
        return self.filter(Q(status=Delivery.Status.PENDING), next_attempt_at__lte=Now()) | (
            self.filter(status=Delivery.Status.SENDING, lease_expires_at__lte=Now())
        )

    def in_flight(self) -> DeliveryQuerySet:
        return self.filter(status=Delivery.Status.SENDING, lease_expires_at__gt=Now())

    def dead(self) -> DeliveryQuerySet:
        return self.filter(status=Delivery.Status.DEAD)


class Delivery(models.Model):
    """Something that must be told to one receiver, at least once; its id is the message's id."""

    class Kind(models.TextChoices):
        EVENT = "event"
        NOTIFICATION = "notification"
        TEST = "test"

    class Status(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"
        DELIVERED = "delivered"
        DEAD = "dead"

    #: Each status and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        Status.SENDING: (Status.PENDING, Status.SENDING),
        Status.DELIVERED: (Status.SENDING,),
        Status.DEAD: (Status.SENDING, Status.PENDING),
        Status.PENDING: (Status.SENDING, Status.DEAD),
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    event_id = models.BigIntegerField(
        null=True, blank=True, help_text="No foreign key: it may outlive the event."
    )
    subscription = models.ForeignKey(
        Subscription, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_collation="C")
    topic = models.CharField(max_length=64, help_text="The event's type, or the channel.")
    url = models.CharField(max_length=MAX_URL_LENGTH)
    receiver = models.CharField(
        max_length=32, editable=False, help_text="Digest of the URL: who must not be flooded."
    )
    payload: models.JSONField[Any, Any] = models.JSONField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.TextField(blank=True, help_text="Why it is where it is, for people.")
    attempt_count = models.PositiveIntegerField(
        default=0, help_text="Since it was made or replayed; it decides when to try again."
    )
    next_attempt_at = models.DateTimeField()
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    lease = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "id"]
        verbose_name_plural = "deliveries"
        permissions = [("replay_delivery", "Can replay deliveries")]
        constraints = [
            models.CheckConstraint(
                name="only_what_is_being_sent_has_a_lease",
                condition=Q(status="sending", lease__isnull=False, lease_expires_at__isnull=False)
                | ~Q(status="sending") & Q(lease__isnull=True, lease_expires_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(
                F("receiver"),
                F("next_attempt_at"),
                name="deliveries_due",
                condition=Q(status="pending"),
            ),
            models.Index(
                fields=["lease_expires_at"],
                name="deliveries_sending",
                condition=Q(status="sending"),
            ),
            models.Index(fields=["status", "-created_at"], name="deliveries_by_status"),
            models.Index(fields=["service_name", "-created_at"], name="deliveries_of_service"),
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.service_name}"


class Attempt(models.Model):
    """One call to a receiver, and what it answered."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty where nothing answered.")
    error = models.TextField(blank=True)
    answer = models.TextField(blank=True, help_text="The first 2 kB of it.")

    class Meta:
        ordering = ["delivery_id", "started_at", "id"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S}: {self.status or self.error}"


def receiver_of(url: str) -> str:
    """Return the receiver at ``url``; deliveries to the same one share its two places."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def lease_end(seconds: float) -> Any:
    """Return a moment that far ahead on PostgreSQL's clock."""
    return Now() + dt.timedelta(seconds=seconds)
