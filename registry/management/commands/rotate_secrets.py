"""Encrypt every stored secret anew with the newest of SAGA_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from registry.operations import encryption_keys
from saga_project.shared import crypto


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret with the first of SAGA_ENCRYPTION_KEYS. Put the new key first, run"
        " this, and take the old key out."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = encryption_keys.rotate()
        except crypto.SecretUnreadable as exc:
            raise CommandError(f"{exc} Nothing was changed.") from exc
        self.stdout.write(f"{count} secrets are encrypted with the newest key.")
