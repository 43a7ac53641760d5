"""Deliveries to receivers, and their attempts."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH, Subscription
from webhooks.models.configuration import Endpoint


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
    """A message that must reach one receiver at least once; its id is the message's id."""

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
        max_length=32,
        editable=False,
        help_text="Digest of the URL: deliveries to one receiver are limited.",
    )
    payload: models.JSONField[Any, Any] = models.JSONField()
    is_about_deliveries = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="It is about deliveries: its own end is no event, or two dead receivers would never rest.",
    )
    format = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Of the payload; empty on those of earlier releases.",
    )
    alert_ids = ArrayField(
        models.BigIntegerField(),
        default=list,
        blank=True,
        db_default=[],
        editable=False,
        help_text="The alerts that it reports.",
    )
    remote_id = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The receiver's name for the message, to which later ones are attached.",
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.TextField(blank=True, help_text="Why it has this status.")
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
            models.Index(
                fields=["endpoint", "created_at"],
                name="deliveries_with_a_thread",
                condition=~Q(remote_id=""),
            ),
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
