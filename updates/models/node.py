"""Hosts that install by an agent, how they join, and what they are asked to do."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH, ServiceAccount
from saga_project.shared import crypto


class Node(models.Model):
    """A host with an agent; targets name it. A node of Celery workers has no row."""

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REVOKED = "revoked"

    #: Each status and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        # It joined again with another join token.
        Status.PENDING: (Status.APPROVED, Status.REVOKED),
        Status.APPROVED: (Status.PENDING, Status.REVOKED),
        Status.REVOKED: (Status.PENDING, Status.APPROVED),
    }

    name = models.CharField(max_length=MAX_NAME_LENGTH, unique=True)
    account = models.OneToOneField(ServiceAccount, on_delete=models.PROTECT, related_name="node")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    facts: models.JSONField[Any, Any] = models.JSONField(
        default=dict, blank=True, help_text="What its agent last said of its host."
    )
    joined_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=255, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="Right to ten seconds.")
    has_to_rotate = models.BooleanField(
        default=False, help_text="Its agent fetches another token with its next poll."
    )

    services: models.JSONField[Any, Any] = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="Names that its agent may register, beside those of its targets.",
    )

    class Meta:
        ordering = ["name"]
        permissions = [("approve_node", "Can approve and revoke nodes")]

    def __str__(self) -> str:
        return self.name


class JoinToken(models.Model):
    """Admits one agent as one node, once; only its SHA-256 is stored."""

    node_name = models.CharField(max_length=MAX_NAME_LENGTH)
    digest = models.CharField(max_length=64, unique=True)
    is_approving = models.BooleanField(default=False, help_text="The node needs no approval.")
    created_by = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.node_name


class NodeOrder(models.Model):
    """One action that an agent is asked for: a step of a job, a probe, a stop. Gone when it was answered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="orders")
    subject = models.CharField(max_length=400, help_text="Of its successors, the newest counts.")
    fence = models.BigIntegerField(default=0)
    sealed_envelope = models.TextField(help_text="The signed text: it may hold secrets.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="It must have begun by then.")
    seen_at = models.DateTimeField(null=True, help_text="When its agent last reported on it.")
    is_cancelled = models.BooleanField(default=False)
    progress = models.PositiveSmallIntegerField(default=0)
    message = models.TextField(blank=True)
    outcome: models.JSONField[Any, Any] = models.JSONField(null=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [
            models.Index(fields=["node", "created_at"], name="order_of_node"),
            models.Index(
                fields=["node"],
                name="order_to_deliver",
                condition=Q(outcome__isnull=True, is_cancelled=False),
            ),
        ]

    def __str__(self) -> str:
        return self.subject


class OrderKey(models.Model):
    """The key that signs orders; agents learn its public half when they join. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    public = models.CharField(max_length=64, help_text="Ed25519, in base64.")
    sealed_private = models.TextField()

    class Meta:
        constraints = [models.CheckConstraint(name="one_order_key", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.public

    @property
    def private(self) -> str:
        return crypto.decrypt(self.sealed_private)
