"""Approvals: what waits for people, and what each of them decided."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from registry.models import Service, ServiceAccount
from updates.models.release import Release


class Approval(models.Model):
    """A release that policy would deploy once enough people say so."""

    class State(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        SUPERSEDED = "superseded"
        EXPIRED = "expired"

    STATE_FIELD = "state"
    #: Each state and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        State.PENDING: (),
        State.APPROVED: (State.PENDING,),
        State.REJECTED: (State.PENDING,),
        State.SUPERSEDED: (State.PENDING, State.APPROVED, State.EXPIRED),
        State.EXPIRED: (State.PENDING,),
    }

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="approvals")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="approvals")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    requested_at = models.DateTimeField()
    requested_by = models.CharField(
        max_length=255, blank=True, help_text="Empty where the policy asked."
    )
    kind = models.CharField(
        max_length=8, choices=[("deploy", "deploy"), ("rollback", "rollback")], default="deploy"
    )
    strategy = models.CharField(max_length=10, blank=True, help_text="Empty: the policy's.")
    strategy_options: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, help_text="Empty: the policy's."
    )
    details: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text="The selection of targets, the reason, and whether it is fast.",
    )
    force_reason = models.TextField(
        blank=True, help_text="Why a quarantined release is to be deployed nevertheless."
    )
    required_approvals = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="How many different people must approve."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When a request without a decision expires; empty: never."
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=255, blank=True)
    reason = models.TextField(blank=True)
    job_id = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        permissions = [("decide_approval", "Can approve and reject updates")]
        constraints = [
            models.UniqueConstraint(
                fields=["service"],
                condition=Q(state="pending"),
                name="one_pending_approval_per_service",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release}: {self.state}"


class ApprovalDecision(models.Model):
    """What one person or account decided about an approval."""

    class Verdict(models.TextChoices):
        APPROVED = "approved"
        REJECTED = "rejected"

    class Way(models.TextChoices):
        API = "api", "API"
        CONSOLE = "console"
        LINK = "link"
        SLACK = "slack"

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="decisions")
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    decided_by = models.CharField(max_length=255, help_text="The person or account.")
    account = models.ForeignKey(
        ServiceAccount, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    marks = ArrayField(
        models.CharField(max_length=300),
        default=list,
        db_default=[],
        blank=True,
        help_text="The marks of this person then; a decision that has one of them is the same person's.",
    )
    token_prefix = models.CharField(
        max_length=16, blank=True, help_text="How the token begins; empty for people."
    )
    way = models.CharField(max_length=8, choices=Way.choices)
    reason = models.TextField(blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ["decided_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["approval", "decided_by", "verdict"], name="one_decision_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.decided_by}: {self.verdict}"
