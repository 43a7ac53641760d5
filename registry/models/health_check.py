"""Checks that Saga makes of instances, what came of them, and the processes that make them."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from registry.models.lengths import MAX_NAME_LENGTH, MAX_URL_LENGTH
from registry.models.service import Service


class CheckVerdict(models.TextChoices):
    """What a check says of an instance; unknown until enough calls agree."""

    UNKNOWN = "unknown"
    PASSING = "passing"
    CRITICAL = "critical"


class HealthCheck(models.Model):
    """A call to each live instance of a service, or to one of them, again and again."""

    class Kind(models.TextChoices):
        HTTP = "http", "HTTP: a GET with an expected status"
        TCP = "tcp", "TCP: a connection that is accepted"

    BOOKKEEPING: ClassVar[tuple[str, ...]] = ("updated_at",)

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="health_checks")
    name = models.CharField(max_length=MAX_NAME_LENGTH, default="health")
    kind = models.CharField(max_length=4, choices=Kind.choices, default=Kind.HTTP)
    instance_id = models.CharField(
        max_length=MAX_NAME_LENGTH, blank=True, help_text="Empty: each live instance."
    )
    url = models.CharField(
        max_length=MAX_URL_LENGTH,
        blank=True,
        help_text="Empty: the health_check_url that the instance registered. A path, such as /healthz,"
        " is taken at the URL of the instance.",
    )
    port = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of a TCP check; empty: that of the instance's URL."
    )
    interval_seconds = models.PositiveIntegerField(default=10)
    timeout_seconds = models.PositiveIntegerField(default=5)
    failures_before_critical = models.PositiveSmallIntegerField(default=3, help_text="In a row.")
    successes_before_passing = models.PositiveSmallIntegerField(default=2, help_text="In a row.")
    expected_status = models.CharField(
        max_length=64, default="200-299", help_text="Such as 200, 200-299 or 200,204,301-308."
    )
    json_pointer = models.CharField(
        max_length=255,
        blank=True,
        help_text="RFC 6901, such as /status; empty: the body is not read.",
    )
    json_value: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, help_text="What must stand there, as JSON; null: any value."
    )
    certificate_warning_days = models.PositiveSmallIntegerField(
        default=14, help_text="An event so long before a certificate expires; 0: none."
    )
    node = models.CharField(
        max_length=MAX_NAME_LENGTH,
        blank=True,
        help_text="Empty: any checker; else the one whose SAGA_NODE_NAME this is.",
    )
    is_enabled = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["service_id", "name"]
        constraints = [
            models.UniqueConstraint(fields=["service", "name"], name="one_check_per_name"),
            models.CheckConstraint(
                name="check_comes_every_second_to_every_day",
                condition=Q(interval_seconds__range=(1, 86_400)),
            ),
            models.CheckConstraint(
                name="check_lasts_up_to_a_minute", condition=Q(timeout_seconds__range=(1, 60))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service.name}: {self.name}"


class CheckedInstance(models.Model):
    """What a check says of one instance now."""

    check_made = models.ForeignKey(HealthCheck, on_delete=models.CASCADE, related_name="results")
    instance_id = models.CharField(max_length=MAX_NAME_LENGTH)
    verdict = models.CharField(
        max_length=8, choices=CheckVerdict.choices, default=CheckVerdict.UNKNOWN
    )
    reason = models.CharField(max_length=255, blank=True)
    since = models.DateTimeField()
    checked_at = models.DateTimeField(help_text="As last flushed.")
    certificate_expires_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(
        null=True, blank=True, help_text="When its certificate was last found to expire soon."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["check_made", "instance_id"], name="one_result_per_check_and_instance"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id}: {self.verdict}"


class CheckTransition(models.Model):
    """A change of what a check says; a gap, in which nothing was checked, is two of them."""

    check_made = models.ForeignKey(
        HealthCheck, on_delete=models.CASCADE, related_name="transitions"
    )
    instance_id = models.CharField(max_length=MAX_NAME_LENGTH)
    old = models.CharField(max_length=8, choices=CheckVerdict.choices)
    new = models.CharField(max_length=8, choices=CheckVerdict.choices)
    reason = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["check_made", "at"], name="transitions_of_a_check")]

    def __str__(self) -> str:
        return f"{self.instance_id}: {self.old} to {self.new}"


class Checker(models.Model):
    """A process that makes checks; the living ones share them, and a row that expires is no more of them."""

    token = models.UUIDField(primary_key=True, default=uuid.uuid4)
    node = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    holder = models.CharField(max_length=255, help_text="Host and process.")
    is_general = models.BooleanField(default=True, help_text="It also checks what names no node.")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.holder
