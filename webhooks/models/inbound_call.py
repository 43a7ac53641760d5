"""Calls to the webhook routes."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH

MAX_MESSAGE_ID_LENGTH = 255


class InboundCall(models.Model):
    """A call to one of the webhook routes, with what became of it; secrets are redacted."""

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted"
        REPEATED = "repeated"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    route = models.CharField(max_length=16)
    service_name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, db_collation="C")
    message_id = models.CharField(max_length=MAX_MESSAGE_ID_LENGTH, blank=True)
    request_digest = models.CharField(max_length=64)
    signed_digest = models.CharField(
        max_length=64,
        blank=True,
        help_text="SHA-256 of a body whose signature covers nothing else; another route refuses it.",
    )
    request_id = models.CharField(max_length=128, blank=True)
    proof = models.CharField(max_length=10, help_text="What the call has shown of the secret.")
    caller = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    is_whole = models.BooleanField(
        default=True, help_text="Only a call that was kept whole can be replayed."
    )
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    status = models.PositiveSmallIntegerField(null=True)
    answer: models.JSONField[Any, Any] = models.JSONField(default=dict)
    received_at = models.DateTimeField(db_index=True)
    replay_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replays"
    )

    class Meta:
        ordering = ["-received_at", "id"]
        permissions = [("replay_inboundcall", "Can replay inbound calls")]
        constraints = [
            models.UniqueConstraint(
                fields=["service_name", "message_id"],
                name="a_message_acts_once",
                condition=Q(verdict="accepted") & ~Q(message_id=""),
            ),
        ]
        indexes = [
            models.Index(fields=["service_name", "-received_at"], name="calls_of_service"),
            models.Index(
                fields=["service_name", "signed_digest"],
                name="signed_bodies_of_service",
                condition=~Q(signed_digest=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.route} {self.service_name}"
