"""Receivers that fail: paused and probed, then disabled."""

from __future__ import annotations

from django.db import models

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH


class Receiver(models.Model):
    """One URL that failed lately; a receiver without a row is well."""

    digest = models.CharField(
        max_length=32, unique=True, help_text="Of the URL, as deliveries have."
    )
    url = models.CharField(max_length=MAX_URL_LENGTH)
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_collation="C")
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    failing_since = models.DateTimeField()
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then only probes go there."
    )
    probe_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then nothing goes there until it is resumed."
    )

    class Meta:
        ordering = ["-failing_since", "id"]
        permissions = [("resume_receiver", "Can resume receivers")]

    def __str__(self) -> str:
        return self.digest
