"""When changes are welcome: recurring windows, and freezes; of one service, of some by label, or of all."""

from __future__ import annotations

import zoneinfo

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from registry.models import Selecting, Service


def check_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name} is not an IANA time zone, such as Europe/Amsterdam.")


class MaintenanceWindow(Selecting):
    """A window of a service, of services by label, or of all; changes happen inside windows only.

    A service with windows of its own has these, else those that select it, else the global ones.
    """

    class Weekday(models.IntegerChoices):
        MONDAY = 0
        TUESDAY = 1
        WEDNESDAY = 2
        THURSDAY = 3
        FRIDAY = 4
        SATURDAY = 5
        SUNDAY = 6

    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="windows",
        help_text="Empty: of the services that the selector selects, or of every service.",
    )
    name = models.CharField(max_length=128)
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(choices=Weekday.choices),
        default=list,
        blank=True,
        help_text="0 is Monday; empty means every day.",
    )
    opens_at = models.TimeField(help_text="On the wall clock of the time zone.")
    duration_minutes = models.PositiveIntegerField()
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    is_enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                name="window_lasts_up_to_a_week", condition=Q(duration_minutes__range=(1, 10080))
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Freeze(Selecting):
    """No changes from its start until its end, on the wall clock of its time zone.

    It is of a service, of services by label, or of all; all that apply hold.
    """

    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="freezes",
        help_text="Empty: of the services that the selector selects, or of every service.",
    )
    name = models.CharField(max_length=128)
    starts_on = models.DateField()
    starts_at = models.TimeField(default="00:00")
    ends_on = models.DateField()
    ends_at = models.TimeField(default="00:00")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-starts_on", "id"]
        constraints = [
            models.CheckConstraint(
                name="freeze_ends_after_its_start",
                condition=Q(ends_on__gt=F("starts_on"))
                | Q(ends_on=F("starts_on"), ends_at__gt=F("starts_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
