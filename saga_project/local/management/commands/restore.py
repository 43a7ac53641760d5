"""Restore a file that ``backup`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from saga_project.local import backup


class Command(BaseCommand):
    help = (
        "Check FILE and restore it to the database that DATABASE_URL names, which may be another"
        " PostgreSQL. Stop Saga first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--replace", action="store_true", help="Delete what the database holds now."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            contents = backup.restore(options["file"], is_replacing=options["replace"])
        except backup.BackupFailed as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{contents.rows} rows and {len(contents.artifacts)} artifacts of Saga"
            f" {contents.saga_version} from {contents.created_at} are restored."
        )
