"""Answers that are kept for repeated requests."""

from __future__ import annotations

from django.db import models


class IdempotencyKey(models.Model):
    """The first 2xx answer to a POST with an ``Idempotency-Key``, kept for 24 hours."""

    account = models.CharField(
        max_length=255, help_text="Empty for an anonymous caller.", blank=True
    )
    route = models.CharField(max_length=512)
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "route", "key"], name="one_answer_per_idempotency_key"
            ),
        ]

    def __str__(self) -> str:
        return self.key
