"""Write database, secrets and the artifacts of current releases to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from saga_project.local import backup


class Command(BaseCommand):
    help = (
        "Write the database, the secrets and the artifacts of current releases to FILE, while Saga runs."
        " The file holds the encryption keys: keep it as you keep them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            contents = backup.back_up(options["file"])
        except backup.BackupFailed as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{options['file']}: {contents.rows} rows in {len(contents.tables)} tables,"
            f" {len(contents.artifacts)} artifacts."
        )
