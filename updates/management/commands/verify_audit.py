"""``manage.py verify_audit``: exit 0 and the last digest, or exit 1 and where the chain breaks."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from updates.history import audit


class Command(BaseCommand):
    help = "Verify the audit trail's chain of digests."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect-digest",
            help="A last digest noted earlier: it must still be in the chain, so that no end was cut off.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        verdict = audit.verify(noted_digest=options["expect_digest"])
        if verdict.fault:
            raise CommandError(verdict.fault)
        self.stdout.write(f"{verdict.entries} entries, last digest {verdict.last_digest}")
