"""What a host wants to see before it hands out an artifact; sealed, and sent to that host only."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH, Service
from saga_project.shared import crypto


class Credential(models.Model):
    class Kind(models.TextChoices):
        BEARER = "bearer", "Bearer token"
        BASIC = "basic", "Basic: user name and password"
        HEADER = "header", "Header of its own name"
        REGISTRY = "registry", "Registry: user name and password for a token"

    host = models.CharField(
        max_length=260,
        help_text="As in its URLs, with the port where they have one: packages.example.com:8443.",
    )
    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="credentials",
        help_text="Empty: for the artifacts of all services.",
    )
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.BEARER)
    username = models.CharField(max_length=255, blank=True, help_text="Of Basic and Registry.")
    header_name = models.CharField(
        max_length=MAX_NAME_LENGTH,
        blank=True,
        help_text="Of Header: PRIVATE-TOKEN, X-JFrog-Art-Api.",
    )
    is_http_allowed = models.BooleanField(
        default=False, help_text="Send it without TLS, too; to this machine it always is."
    )
    sealed_secret = models.TextField(editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["host", "service_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "service"],
                name="one_credential_per_host_and_service",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="a_header_credential_names_its_header",
                condition=~Q(kind="header") | ~Q(header_name=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host} ({self.service.name if self.service else 'all services'})"

    @property
    def secret(self) -> str:
        return crypto.decrypt(self.sealed_secret)
