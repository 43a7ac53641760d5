"""Keys that encrypted something in this database, known by their fingerprints only."""

from __future__ import annotations

from django.db import models


class EncryptionKey(models.Model):
    """A key that stored secrets need; a start without it is refused."""

    fingerprint = models.CharField(max_length=12, unique=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.fingerprint
