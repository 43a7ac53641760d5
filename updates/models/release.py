"""A version of a service that could run."""

from __future__ import annotations

import hashlib
import json

from django.contrib.postgres.fields import ArrayField
from django.db import models

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH, Service


class ReleaseQuerySet(models.QuerySet["Release"]):
    def available(self) -> ReleaseQuerySet:
        return self.filter(state=Release.State.AVAILABLE)


class Release(models.Model):
    class State(models.TextChoices):
        AVAILABLE = "available"
        QUARANTINED = "quarantined"
        WITHDRAWN = "withdrawn"

    class ArtifactType(models.TextChoices):
        BINARY = "binary"
        ARCHIVE = "archive"
        IMAGE = "image"

    STATE_FIELD = "state"
    #: Each state and those from which it may be reached (saga_project.shared.transitions).
    MOVES = {
        State.AVAILABLE: (State.QUARANTINED, State.WITHDRAWN),
        State.QUARANTINED: (State.AVAILABLE,),
        State.WITHDRAWN: (State.AVAILABLE, State.QUARANTINED),
    }

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="releases")
    version = models.CharField(max_length=MAX_NAME_LENGTH, db_collation="C")
    channel = models.CharField(
        max_length=64, blank=True, help_text="Such as stable or nightly; empty for sources without."
    )
    needs_channel = models.BooleanField(
        default=False, help_text="Only policies that name its channel take it."
    )
    is_prerelease = models.BooleanField(
        default=False, help_text="By its version, or because its source says so."
    )
    is_marked_prerelease = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Its source says so; what its version says depends on the policy's scheme.",
    )
    artifact_url = models.CharField(
        max_length=MAX_URL_LENGTH, blank=True, help_text="For an image, its reference."
    )
    artifact_problem = models.TextField(
        blank=True, help_text="Why no artifact could be chosen, though its source has files."
    )
    artifact_type = models.CharField(
        max_length=8, choices=ArtifactType.choices, default=ArtifactType.BINARY
    )
    checksum = models.CharField(
        max_length=256, blank=True, help_text="algorithm:hexadecimal digest, as it was announced."
    )
    size_bytes = models.BigIntegerField(null=True, blank=True)
    signature = models.TextField(blank=True, help_text="A minisign signature of the artifact.")
    notes = models.TextField(blank=True)
    published_at = models.DateTimeField(
        null=True, blank=True, help_text="As its source says; the minimum age counts from here."
    )
    recorded_at = models.DateTimeField(help_text="When it was first recorded.")
    origin = models.CharField(max_length=16, help_text="The kind of its source.")
    authors = ArrayField(
        models.CharField(max_length=255),
        default=list,
        db_default=[],
        blank=True,
        help_text="The people and accounts that announced it, or added its artifact.",
    )
    state = models.CharField(max_length=11, choices=State.choices, default=State.AVAILABLE)
    state_reason = models.TextField(blank=True)
    state_changed_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["service_id", "-recorded_at", "-id"]
        permissions = [("move_release", "Can quarantine, withdraw and release again")]
        constraints = [
            models.UniqueConstraint(fields=["service", "version"], name="one_release_per_version"),
        ]

    def __str__(self) -> str:
        return f"{self.service.name} {self.version}"

    @property
    def fingerprint(self) -> str:
        """Return a digest of what would run: the version and its artifact, as announced."""
        facts = (
            self.version,
            self.artifact_type,
            self.artifact_url,
            self.checksum,
            self.signature,
        )
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
