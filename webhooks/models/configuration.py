"""A service's endpoints and signing secret."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q, Value

from registry.models import MAX_URL_LENGTH, Service

MAX_CHANNEL_LENGTH = 64
GLOBAL = ""


class Configuration(models.Model):
    """A service's endpoints and secret; the one without a service is the global configuration."""

    service = models.OneToOneField(
        Service,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="webhook_configuration",
        help_text="Empty for the global configuration.",
    )
    is_administered = models.BooleanField(
        default=False,
        editable=False,
        help_text="Of the global one: an administrator set it, so that only administrators may change it.",
    )
    accepts_global_secret = models.BooleanField(
        default=False,
        help_text="The global secret may also sign for this service, although an account owns it.",
    )
    requires_timestamp = models.BooleanField(
        default=False,
        help_text="Only timestamped signatures count, those of Standard Webhooks.",
    )
    sealed_secret = models.TextField(blank=True, editable=False)
    sealed_previous_secret = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    configured_at = models.DateTimeField()

    class Meta:
        ordering = ["service__name"]
        constraints = [
            models.UniqueConstraint(
                fields=["service"], nulls_distinct=False, name="one_global_configuration"
            ),
            models.CheckConstraint(
                name="previous_secret_has_an_end",
                condition=Q(sealed_previous_secret="") | Q(previous_secret_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.service_name or "global"

    @property
    def service_name(self) -> str:
        return GLOBAL if self.service is None else self.service.name


class Endpoint(models.Model):
    """Where a configuration's channel leads."""

    configuration = models.ForeignKey(
        Configuration, on_delete=models.CASCADE, related_name="endpoints"
    )
    channel = models.CharField(max_length=MAX_CHANNEL_LENGTH, db_collation="C")
    url = models.CharField(max_length=MAX_URL_LENGTH)
    format = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text="Of its messages; empty: by the channel's name.",
    )
    sealed_secret = models.TextField(blank=True, default="", db_default="", editable=False)
    sealed_signing_secret = models.TextField(blank=True, default="", db_default="", editable=False)
    options: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, output_field=models.JSONField()),
        help_text="What its format needs, such as a template.",
    )
    disabled_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when the receiver answered 410."
    )

    class Meta:
        ordering = ["configuration_id", "channel"]
        constraints = [
            models.UniqueConstraint(
                fields=["configuration", "channel"], name="one_endpoint_per_channel"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.configuration}: {self.channel}"
