"""Policies for new releases, of one service or of services by label, and the exceptions that staff made."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH, Selecting, Service
from saga_project.shared import labels, versions

MAX_APPROVALS = 10


class PolicyRules(models.Model):
    """What a policy says, whichever services it is for."""

    class Kind(models.TextChoices):
        MANUAL = "manual"
        APPROVE = "approve"
        AUTO = "auto"
        PINNED = "pinned"

    class Strategy(models.TextChoices):
        ROLLING = "rolling"
        BLUE_GREEN = "blue-green"
        CANARY = "canary"

    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.MANUAL)
    version_range = models.CharField(
        max_length=255, blank=True, help_text="Such as >=1.4,<2; empty means any."
    )
    version_scheme = models.CharField(
        max_length=8,
        blank=True,
        choices=[(name, name) for name in versions.NAMES],
        help_text="How version strings are read; empty for the source's, or auto.",
    )
    version_pattern = models.CharField(
        max_length=versions.MAX_PATTERN_LENGTH,
        blank=True,
        help_text="A regular expression that versions must match; for regex, with named groups.",
    )
    channel = models.CharField(max_length=64, blank=True, help_text="Empty means any.")
    allows_prereleases = models.BooleanField(default=False)
    minimum_age_seconds = models.PositiveIntegerField(
        default=0,
        help_text="How old a release must be, by its source's own time; without one it waits.",
    )
    strategy = models.CharField(max_length=10, choices=Strategy.choices, default=Strategy.ROLLING)
    strategy_options: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    metrics: models.JSONField[Any, Any] = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text='Such as [{"name": "errors", "url": "http://prometheus:9090", "query": "…",'
        ' "maximum": 0.01}].',
    )
    requires_checksum = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A release without a digest of its artifact is refused.",
    )
    requires_second_person = models.BooleanField(
        default=False,
        help_text="What a person or a program asks for, another person must approve first.",
    )
    required_approvals = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_APPROVALS)],
        help_text="How many different people must approve; a rejection by one of them ends it.",
    )
    approval_expires_after_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(8_760)],
        help_text="A request without a decision expires after so many hours; empty: it stays.",
    )
    requires_signature = models.BooleanField(default=False)
    signing_keys = ArrayField(
        models.CharField(max_length=128),
        default=list,
        blank=True,
        help_text="minisign public keys, any of which may have signed.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class Policy(PolicyRules):
    """The policy of one service; ``policy_of`` says which one a service without a row has."""

    service = models.OneToOneField(Service, on_delete=models.CASCADE, related_name="policy")

    class Meta:
        verbose_name_plural = "policies"
        permissions = [
            ("override_calendar", "Can deploy in a freeze or outside maintenance windows"),
        ]

    def __str__(self) -> str:
        return f"{self.service.name}: {self.kind}"


class SelectorPolicy(PolicyRules, Selecting):
    """A policy for the services that its selector selects and that have none of their own."""

    name = models.CharField(max_length=MAX_NAME_LENGTH, unique=True)
    priority = models.SmallIntegerField(
        default=0,
        help_text="Of several that select a service, the highest applies; then the one with the most"
        " conditions, then the oldest.",
    )

    class Meta:
        verbose_name_plural = "policies by label"
        ordering = ["-priority", "name"]
        constraints = [
            models.CheckConstraint(name="selector_policy_selects", condition=~Q(selector="")),
        ]

    def __str__(self) -> str:
        return self.name


def policy_of(service: Service) -> Policy | SelectorPolicy:
    """Return the service's own policy, else the first by label that selects it, else the defaults."""
    own = Policy.objects.filter(service=service).order_by("pk").first()
    return own or _by_label(service) or Policy(service=service)


def _by_label(service: Service) -> SelectorPolicy | None:
    found = [row for row in SelectorPolicy.objects.all() if row.selects(service.labels)]
    return min(found, key=_rank, default=None)


def _rank(row: SelectorPolicy) -> tuple[int, int, int]:
    """Return what sorts the policy that applies first: by priority, conditions and age."""
    return (-row.priority, -len(labels.parse(row.selector).requirements), row.pk)


class Hold(models.Model):
    """One version is skipped, or, without a version, all updates of the service are snoozed."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="holds")
    version = models.CharField(
        max_length=MAX_NAME_LENGTH, blank=True, help_text="Empty snoozes every version."
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty holds for good.")
    reason = models.TextField(blank=True)
    created_by = models.CharField(max_length=255, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["service_id", "-created_at"]
        constraints = [
            models.CheckConstraint(
                name="snooze_ends", condition=~Q(version="") | Q(expires_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service.name}: {self.version or 'everything'}"
