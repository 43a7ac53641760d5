"""Start without encryption keys that are lost for good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from registry.operations import encryption_keys


class Command(BaseCommand):
    help = (
        "Stop asking for keys that are not in SAGA_ENCRYPTION_KEYS. The secrets that they encrypted stay"
        " unreadable until they are set again: calls that need them are refused."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = encryption_keys.forget_missing()
        self.stdout.write(f"{count} missing keys are forgotten.")
