"""Where a service's releases are published, and when we ask."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django_celery_beat.models import CrontabSchedule

from registry.models import MAX_URL_LENGTH, Service


class Source(models.Model):
    """A service without a row has what is announced to us. The last part is the journal of checks."""

    #: Columns that checks keep, and that are no settings.
    BOOKKEEPING: ClassVar[tuple[str, ...]] = (
        "next_check_at",
        "lease_expires_at",
        "last_checked_at",
        "last_version",
        "last_error",
        "failures",
        "validators",
    )

    class Kind(models.TextChoices):
        ANNOUNCED = "announced"
        GITHUB = "github", "GitHub releases"
        GITLAB = "gitlab", "GitLab releases"
        GITEA = "gitea", "Gitea and Forgejo releases"
        PYPI = "pypi", "PyPI"
        NPM = "npm", "npm"
        OCI = "oci", "OCI registry"
        HELM = "helm", "Helm repository"
        MAVEN = "maven", "Maven repository"
        CRATES = "crates", "crates.io"
        RUBYGEMS = "rubygems", "RubyGems"
        GO = "go", "Go module proxy"
        GIT = "git", "Git tags"
        S3 = "s3", "S3-style bucket"
        ENDOFLIFE = "endoflife", "endoflife.date"
        JSON = "json", "JSON document"

    service = models.OneToOneField(Service, on_delete=models.CASCADE, related_name="source")
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.ANNOUNCED)
    location = models.CharField(
        max_length=MAX_URL_LENGTH,
        blank=True,
        help_text="owner/repository, the package's name, the image's repository, or a URL.",
    )
    base_url = models.CharField(
        max_length=MAX_URL_LENGTH, blank=True, help_text="Of a mirror; empty for the public one."
    )
    options: models.JSONField[Any, Any] = models.JSONField(
        default=dict,
        blank=True,
        help_text='A JSON object, such as {"asset": "*-linux.tar.gz", "tag_prefix": "payment-"}.',
    )
    sealed_token = models.TextField(blank=True, editable=False)
    is_enabled = models.BooleanField(default=True)
    interval_seconds = models.PositiveIntegerField(
        default=3600, help_text="Between two checks; a tenth of it is left to chance."
    )
    crontab = models.ForeignKey(
        CrontabSchedule,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        help_text="Instead of the interval: at these times, in their own time zone.",
    )

    next_check_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_version = models.CharField(max_length=128, blank=True, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    validators: models.JSONField[Any, Any] = models.JSONField(
        default=dict, editable=False, help_text="ETag and Last-Modified of the last answer."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="a_minute_between_checks", condition=Q(interval_seconds__gte=60)
            ),
        ]
        indexes = [
            models.Index(fields=["next_check_at"], name="source_due", condition=Q(is_enabled=True)),
        ]

    def __str__(self) -> str:
        return f"{self.service.name}: {self.kind} {self.location}".rstrip()
