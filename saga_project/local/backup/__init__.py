"""Backups: database, secrets and the artifacts of current releases in one checksummed file."""

from __future__ import annotations

from saga_project.local.backup.archive import BackupFailed, Contents
from saga_project.local.backup.reading import restore
from saga_project.local.backup.writing import back_up

__all__ = ["BackupFailed", "Contents", "back_up", "restore"]
