"""Which file manages a row: what its next apply overwrites, and takes away once it is left out."""

from __future__ import annotations

from typing import Any

from django.db import models

MAX_MANAGER_LENGTH = 64


class ManagedObject(models.Model):
    """A row of any model that an applied file describes; no foreign key, since it covers many models."""

    model = models.CharField(max_length=64, help_text="Such as updates.policy.")
    object_id = models.BigIntegerField()
    managed_by = models.CharField(max_length=MAX_MANAGER_LENGTH, db_index=True)
    references: models.JSONField[Any, Any] = models.JSONField(
        default=dict, help_text="Secrets that the file gives by reference, as it writes them."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "object_id"], name="one_file_per_row")
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.object_id}: {self.managed_by}"


def manager_of(row: models.Model) -> str:
    """Return the name of the file that manages the row, empty where none does."""
    found = ManagedObject.objects.filter(model=row._meta.label_lower, object_id=row.pk)
    return next(iter(found.values_list("managed_by", flat=True)), "")
