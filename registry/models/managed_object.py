"""Which file manages a row: what its next apply overwrites, and takes away once it is left out."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

MAX_MANAGER_LENGTH = 64


class ManagedObject(models.Model):
    """A row of any model that an applied file describes; no foreign key, since it covers many models.

    Its key is a number or, of a subscription, a UUID.
    """

    model = models.CharField(max_length=64, help_text="Such as updates.policy.")
    object_id = models.BigIntegerField(null=True, blank=True)
    object_uuid = models.UUIDField(null=True, blank=True)
    managed_by = models.CharField(max_length=MAX_MANAGER_LENGTH, db_index=True)
    references: models.JSONField[Any, Any] = models.JSONField(
        default=dict, help_text="Secrets that the file gives by reference, as it writes them."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "object_id"], name="one_file_per_row"),
            models.UniqueConstraint(fields=["model", "object_uuid"], name="one_file_per_uuid"),
            models.CheckConstraint(
                name="managed_row_has_one_key",
                condition=Q(object_id=None) ^ Q(object_uuid=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.object_id or self.object_uuid}: {self.managed_by}"


def mark_column(model: type[models.Model]) -> str:
    """Return the column of ManagedObject that holds the keys of this model's rows."""
    return "object_uuid" if isinstance(model._meta.pk, models.UUIDField) else "object_id"


def manager_of(row: models.Model) -> str:
    """Return the name of the file that manages the row, empty where none does."""
    key = {mark_column(type(row)): row.pk}
    found = ManagedObject.objects.filter(model=row._meta.label_lower, **key)
    return next(iter(found.values_list("managed_by", flat=True)), "")
