"""Restore a file that ``backup`` wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, connections

from saga_project.local import backup, embedded, holding
from saga_project.local.embedded import postgresql
from saga_project.local.embedded.processes import ServerFailed


class Command(BaseCommand):
    help = (
        "Check FILE and restore it to the database that DATABASE_URL names, which may be another"
        " PostgreSQL. Stop Saga first; the embedded PostgreSQL is started for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--replace", action="store_true", help="Delete what the database holds now."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        is_embedded = not os.environ.get("DATABASE_URL")
        try:
            with _embedded_server() if is_embedded else contextlib.nullcontext():
                contents = backup.restore(options["file"], is_replacing=options["replace"])
        except (backup.BackupFailed, ServerFailed, holding.DataFolderInUse) as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{contents.rows} rows and {len(contents.artifacts)} artifacts of Saga"
            f" {contents.saga_version} from {contents.created_at} are restored."
        )


@contextlib.contextmanager
def _embedded_server() -> Iterator[None]:
    """Start the embedded PostgreSQL until the block ends; raises ServerFailed, DataFolderInUse."""
    data_dir = settings.SAGA_DATA_DIR
    with holding.data_folder(data_dir):
        server = postgresql.server(data_dir)
        server.start()
        try:
            postgresql.create_database(data_dir)
            # It may have got another port than the one that was free when the settings were read.
            connection.settings_dict["PORT"] = embedded.port(data_dir, "postgresql")
            yield
        finally:
            connections.close_all()
            server.stop()
