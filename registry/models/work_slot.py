"""Slots of work that only a limited number of processes may do at once."""

from __future__ import annotations

from django.db import models


class WorkSlot(models.Model):
    """Permission to do one kind of work, for a limited time; a holder that dies loses it when it expires."""

    work = models.CharField(max_length=32)
    place = models.PositiveSmallIntegerField(default=0)
    holder = models.CharField(max_length=255, help_text="Host and process that have the slot.")
    token = models.UUIDField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["work", "place"], name="one_holder_per_work_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.work} {self.place}"
