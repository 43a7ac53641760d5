"""Programs that depend on a service and receive its events."""

from __future__ import annotations

import fnmatch
import uuid

from django.db import models
from django.db.models import F, Q

from registry.models.account import ServiceAccount
from registry.models.lengths import MAX_NAME_LENGTH, MAX_URL_LENGTH
from registry.models.service import Service


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
    """A program that depends on a service and gets its events at a callback URL.

    One with a ``service_glob`` in place of a service covers every service with such a name, registered or
    not, and keeps none of them registered.
    """

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
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.CASCADE, related_name="subscriptions"
    )
    service_glob = models.CharField(
        max_length=MAX_NAME_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="Names of services such as pay*; * stands for any characters.",
    )
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
        constraints = [
            models.CheckConstraint(
                name="subscription_to_a_service_or_a_glob",
                condition=Q(service=None) ^ Q(service_glob=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} → {self.service_name}"

    @property
    def service_name(self) -> str:
        """The service's name, or the glob."""
        return self.service.name if self.service is not None else self.service_glob

    def covers(self, service_name: str) -> bool:
        """Return whether events of the service are meant for this subscription."""
        if self.service is not None:
            return self.service.name == service_name
        return fnmatch.fnmatchcase(service_name, self.service_glob)
