"""The watch over instances that run the new version, from their switch until the job ends."""

from __future__ import annotations

from django.db import models

from registry.models import MAX_NAME_LENGTH
from updates.models.jobs import Job
from updates.models.targets import Target


class Watch(models.Model):
    """One switched target of a job; each check of it is written here."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="watches")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="watches")
    node = models.CharField(
        max_length=MAX_NAME_LENGTH, help_text="A worker of this node asks the health URL."
    )
    began_at = models.DateTimeField()
    has_heartbeat = models.BooleanField(
        default=False, help_text="It has sent heartbeats since its switch, and must go on."
    )
    is_well = models.BooleanField(null=True, help_text="Empty: the last check was inconclusive.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="In a row.")
    message = models.TextField(blank=True)
    claimed_at = models.DateTimeField(null=True, help_text="When its newest check began.")
    checked_at = models.DateTimeField(
        null=True, help_text="When the check began whose result is on record."
    )

    class Meta:
        ordering = ["job_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["job", "target"], name="one_watch_per_target"),
        ]

    def __str__(self) -> str:
        return f"{self.target} in {self.job.job_id}"
