"""The metrics of a deployment, and what was measured of each."""

from __future__ import annotations

from django.db import models

from registry.models import MAX_NAME_LENGTH
from updates.models.jobs import Job


class Measurement(models.Model):
    """One metric of a job; each sample of it is written here."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="measurements")
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    began_at = models.DateTimeField(help_text="When the first target was switched.")
    is_good = models.BooleanField(null=True, help_text="Empty: the last sample was inconclusive.")
    good_in_a_row = models.PositiveIntegerField(default=0)
    bad_in_a_row = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True)
    checked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["job_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["job", "name"], name="one_measurement_per_metric"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.job.job_id}"
