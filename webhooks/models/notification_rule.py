"""Which events are sent to which channels, when, and how often."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH, Service
from saga_project.shared import labels
from updates.models.calendar import check_time_zone
from webhooks.models.configuration import MAX_CHANNEL_LENGTH

MAX_GLOBS = 50
MAX_RULE_CHANNELS = 20


class Severity(models.TextChoices):
    """From the least to the worst."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class NotificationRule(models.Model):
    """Events of some types, services and severities lead to messages in some channels."""

    class Digest(models.TextChoices):
        OFF = "off"
        DAILY = "daily"
        WEEKLY = "weekly"

    #: Columns that programs keep, which are no settings (registry.operations.configured).
    BOOKKEEPING = ("default_key",)

    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notification_rules",
        help_text="Empty: of every service whose name fits the pattern.",
    )
    service_glob = models.CharField(
        max_length=MAX_NAME_LENGTH,
        default="*",
        help_text="Names of services such as pay*; for a rule of no single service.",
    )
    selector = models.CharField(
        max_length=labels.MAX_SELECTOR_LENGTH,
        blank=True,
        default="",
        help_text="Labels of services, such as env=prod,team!=pay; for a rule of no single service.",
    )
    name = models.CharField(max_length=128)
    event_types = ArrayField(
        models.CharField(max_length=64),
        size=MAX_GLOBS,
        help_text="Types of events, such as deployment.failed or service.*.",
    )
    min_severity = models.CharField(
        max_length=8,
        choices=Severity.choices,
        default=Severity.INFO,
        help_text="Events below it are not sent.",
    )
    channels = ArrayField(
        models.CharField(max_length=MAX_CHANNEL_LENGTH),
        size=MAX_RULE_CHANNELS,
        help_text="Names of channels: the service's own of that name, else the global one.",
    )
    delay_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(86_400)],
        help_text="A problem that ends sooner is not reported.",
    )
    group_seconds = models.PositiveIntegerField(
        default=10,
        validators=[MaxValueValidator(3_600)],
        help_text="What begins within so many seconds is one message.",
    )
    repeat_every_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(60), MaxValueValidator(30 * 86_400)],
        help_text="Seconds after which an unresolved problem is reported again; empty: never.",
    )
    sends_resolved = models.BooleanField(
        default=True, help_text="Also report that a problem has ended."
    )
    quiet_from = models.TimeField(
        null=True,
        blank=True,
        help_text="From then until quiet_until only what is critical is sent at once.",
    )
    quiet_until = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    digest = models.CharField(
        max_length=6,
        choices=Digest.choices,
        default=Digest.OFF,
        help_text="Collect everything into one message a day, or one on Mondays.",
    )
    digest_at = models.TimeField(default="09:00", help_text="On the wall clock of the time zone.")
    is_enabled = models.BooleanField(default=True)
    default_key = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Set on rules that Saga made with the first channel.",
    )

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["service", "name"], nulls_distinct=False, name="one_rule_of_a_name"
            ),
            models.CheckConstraint(
                name="quiet_hours_have_both_ends",
                condition=Q(quiet_from=None, quiet_until=None)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                violation_error_message="Quiet hours have a beginning and an end.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
