"""What rules found in the events: problems that begin and end, and what was sent about them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH
from webhooks.models.notification_rule import NotificationRule, Severity

MAX_SUBJECT_LENGTH = 255


class Alert(models.Model):
    """One problem that a rule reports, from its first event to its end."""

    class State(models.TextChoices):
        OPEN = "open"
        RESOLVED = "resolved"

    STATE_FIELD = "state"
    #: Each state and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {State.OPEN: (), State.RESOLVED: (State.OPEN,)}

    rule = models.ForeignKey(NotificationRule, on_delete=models.CASCADE, related_name="alerts")
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_collation="C")
    problem = models.CharField(max_length=64, help_text="What it is about, such as expired.")
    subject = models.CharField(
        max_length=MAX_SUBJECT_LENGTH, blank=True, help_text="Such as the instance."
    )
    event_type = models.CharField(max_length=64, help_text="Of its latest event.")
    severity = models.CharField(max_length=8, choices=Severity.choices)
    text = models.TextField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    is_momentary = models.BooleanField(
        default=False, help_text="It has no end: the event is sent once."
    )
    occurrences = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When a message is due; empty: none is."
    )
    acknowledged_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then it is not repeated, unless it becomes worse."
    )
    acknowledged_by = models.CharField(max_length=255, blank=True, default="", db_default="")
    sent_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was last sent; empty: not yet."
    )
    sent_severity = models.CharField(
        max_length=8, choices=Severity.choices, blank=True, help_text="How bad it was then."
    )

    class Meta:
        ordering = ["-opened_at", "-id"]
        permissions = [("acknowledge_alert", "Can acknowledge alerts")]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "service_name", "problem", "subject"],
                condition=Q(state="open"),
                name="one_open_alert_per_subject",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="alerts_due", condition=Q(due_at__isnull=False)),
            models.Index(
                fields=["service_name"], name="open_alerts_of_service", condition=Q(state="open")
            ),
            models.Index(fields=["opened_at"], name="alerts_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.service_name}: {self.text}" if self.service_name else self.text


class Flapping(models.Model):
    """When an instance, or a service, became ill lately; too often within some minutes it is flapping."""

    service_name = models.CharField(max_length=MAX_NAME_LENGTH, db_collation="C")
    subject = models.CharField(max_length=MAX_SUBJECT_LENGTH, blank=True)
    fell_at = ArrayField(models.DateTimeField(), default=list)
    last_fell_at = models.DateTimeField(db_index=True)
    began_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["service_name", "subject"], name="one_flapping_per_subject"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service_name} {self.subject}".strip()


class AlertCursor(models.Model):
    """Up to where the events were read for alerts. At most one row."""

    transaction = models.BigIntegerField()
    event = models.BigIntegerField()
    has_default_rules = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Default rules were made; what staff delete of them stays away.",
    )

    class Meta:
        constraints = [models.CheckConstraint(name="one_alert_cursor", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"{self.transaction}-{self.event}"
