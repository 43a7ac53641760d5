"""Artifacts in Saga's own store: rows, so that every host sees them and a backup has them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q

from registry.models import MAX_NAME_LENGTH, Service


class Upload(models.Model):
    """A file of a service, known by its digest; complete once its bytes are here and have that digest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="uploads")
    sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=MAX_NAME_LENGTH, help_text="Of the file.")
    size = models.BigIntegerField(help_text="Bytes, as announced.")
    received = models.BigIntegerField(default=0, help_text="Bytes that are stored.")
    created_by = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(help_text="Last written or fetched.")
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["service", "sha256"], name="one_upload_per_service_and_digest"
            ),
            models.CheckConstraint(
                name="an_upload_is_no_longer_than_announced",
                condition=Q(received__gte=0) & Q(received__lte=F("size")),
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "id"], name="upload_newest")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_complete(self) -> bool:
        return self.completed_at is not None


class UploadChunk(models.Model):
    """Bytes of an upload; each chunk begins where the one before it ends."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="chunks")
    position = models.BigIntegerField(help_text="Of its first byte.")
    data = models.BinaryField()

    class Meta:
        ordering = ["upload_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["upload", "position"], name="one_chunk_per_position")
        ]

    def __str__(self) -> str:
        return f"{self.upload_id} {self.position}"
