"""Run the sweeps: expiry, missed heartbeats, flushes, and wake-ups for jobs and deliveries."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from registry.operations import encryption_keys
from saga_project.local import sweeps


class Command(BaseCommand):
    help = (
        "Run the sweeps until SIGTERM. Start one on each host: one of them works, the others take over"
        " within seconds when it ends."
    )
    requires_system_checks = ["saga"]

    def handle(self, *args: Any, **options: Any) -> None:
        if complaint := encryption_keys.describe_missing():
            raise CommandError(complaint)
        sweeps.run()
