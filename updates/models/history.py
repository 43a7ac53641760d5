"""The append-only history of every service: a correction is a new row (enforced by a trigger)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from registry.models import MAX_NAME_LENGTH, MAX_URL_LENGTH


class HistoryQuerySet(models.QuerySet["HistoryEntry"]):
    def standing(self) -> HistoryQuerySet:
        """All but the rows that a later one corrects.

        Corrections are few: PostgreSQL reads them once, and the rest of the plan stays along its index.
        """
        corrected = HistoryEntry.objects.filter(corrects__isnull=False).values("corrects_id")
        return self.exclude(pk__in=corrected)

    def newest_first(self) -> HistoryQuerySet:
        return self.order_by("-timestamp", "-id")


class HistoryEntry(models.Model):
    """One update that ended. It names its service without a key, so that it outlives the row."""

    class Status(models.TextChoices):
        SUCCESS = "success"
        FAILED = "failed"
        ROLLED_BACK = "rolled_back"

    class Kind(models.TextChoices):
        DEPLOY = "deploy"
        ROLLBACK = "rollback"
        REPORTED = "reported", "reported by the service"

    service_name = models.CharField(max_length=MAX_NAME_LENGTH, db_collation="C")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    status = models.CharField(max_length=11, choices=Status.choices)
    old_version = models.CharField(max_length=MAX_NAME_LENGTH, null=True)
    new_version = models.CharField(max_length=MAX_NAME_LENGTH, null=True)
    running_version = models.CharField(
        max_length=MAX_NAME_LENGTH, null=True, help_text="What ran afterwards; empty if unknown."
    )
    timestamp = models.DateTimeField(help_text="When it ended.")
    started_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(
        null=True, help_text="When the new version was published: lead times count from here."
    )
    duration_seconds = models.PositiveIntegerField(null=True)
    paused_seconds = models.PositiveIntegerField(null=True)
    artifact_url = models.CharField(max_length=MAX_URL_LENGTH, null=True)
    checksum = models.CharField(max_length=256, null=True)
    artifact_path = models.TextField(null=True)
    backup_path = models.TextField(null=True)
    job_id = models.CharField(max_length=300, null=True)
    has_reached_target = models.BooleanField(
        default=True, help_text="No: it failed before anything was changed."
    )
    detail = models.TextField(blank=True, help_text="Why it failed, or why this row corrects.")
    corrects = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="correction"
    )
    recorded_by = models.CharField(max_length=255, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    objects = HistoryQuerySet.as_manager()

    class Meta:
        ordering = ["-timestamp", "-id"]
        verbose_name_plural = "history"
        permissions = [("correct_historyentry", "Can add a correction to the history")]
        constraints = [
            models.UniqueConstraint(
                fields=["job_id"],
                condition=Q(corrects__isnull=True),
                name="one_history_entry_per_job",
            ),
        ]
        indexes = [
            # With what statistics add up, so that they need not go to the rows.
            models.Index(
                fields=["-timestamp", "-id"],
                include=["service_name", "status", "duration_seconds"],
                name="history_newest",
            ),
            models.Index(fields=["service_name", "-timestamp", "-id"], name="history_of_service"),
            models.Index(fields=["status", "-timestamp", "-id"], name="history_of_status"),
            models.Index(
                fields=["timestamp"], name="history_of_rollbacks", condition=Q(kind="rollback")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service_name} {self.old_version} → {self.new_version}: {self.status}"


class HistoryTally(models.Model):
    """The number of standing entries; a trigger keeps it, so that no query counts a million rows."""

    service_name = models.CharField(max_length=MAX_NAME_LENGTH, db_collation="C")
    status = models.CharField(max_length=11)
    entries = models.BigIntegerField()
    timed_entries = models.BigIntegerField(help_text="Those whose duration is known.")
    seconds = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service_name", "status"], name="one_tally_per_status"),
        ]

    def __str__(self) -> str:
        return f"{self.service_name} {self.status}: {self.entries}"
