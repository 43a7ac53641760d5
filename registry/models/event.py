"""The event log, and up to where it was purged."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Cast

from registry.models.lengths import MAX_NAME_LENGTH


class Event(models.Model):
    """Something that happened, written in the transaction of the change and never changed afterwards.

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
