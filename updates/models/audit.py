"""The audit trail: append-only by a trigger, tamper-evident by a chain of digests."""

from __future__ import annotations

from typing import Any

from django.db import models

from registry.models import MAX_NAME_LENGTH


class AuditCursor(models.Model):
    """How far the trail was sent on to a receiver, which the digest of its address names."""

    receiver = models.CharField(max_length=64, primary_key=True)
    sequence = models.BigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"{self.receiver[:8]} {self.sequence}"


class AuditEntry(models.Model):
    sequence = models.BigIntegerField(primary_key=True, help_text="1, 2, 3 … without a gap.")
    at = models.DateTimeField()
    actor = models.CharField(max_length=255)
    action = models.CharField(max_length=64)
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_index=True)
    data: models.JSONField[Any, Any] = models.JSONField(default=dict)
    previous_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["-sequence"]
        verbose_name_plural = "audit trail"

    def __str__(self) -> str:
        return f"{self.sequence} {self.action} by {self.actor}"
