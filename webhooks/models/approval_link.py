"""Links in messages by which one reader approves or rejects."""

from __future__ import annotations

import uuid

from django.db import models

from updates.models import Approval, ApprovalDecision
from webhooks.models.delivery import Delivery


class ApprovalLink(models.Model):
    """One decision that the reader of one message may make; what proves the link is stored nowhere."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="+")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="approval_links")
    verdict = models.CharField(max_length=8, choices=ApprovalDecision.Verdict.choices)
    approver = models.CharField(
        max_length=255, help_text="The person or account that the channel's messages go to."
    )
    fingerprint = models.CharField(max_length=64, help_text="Of the release's artifact then.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.approver}: {self.verdict}"
