"""Restore a file that ``backup`` wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, connections

from saga_project.local import backup, embedded, holding
from saga_project.local.embedded import postgresql, valkey
from saga_project.local.embedded.processes import Server, ServerFailed
from saga_project.shared import redis_urls


class Command(BaseCommand):
    help = (
        "Check FILE and restore it to the database that DATABASE_URL names, which may be another"
        " PostgreSQL. Stop Saga first; the embedded servers are started for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--replace", action="store_true", help="Delete what the database holds now."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _embedded_servers():
                contents = backup.restore(options["file"], is_replacing=options["replace"])
        except (backup.BackupFailed, ServerFailed, holding.DataFolderInUse) as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{contents.rows} rows and {len(contents.artifacts)} artifacts of Saga"
            f" {contents.saga_version} from {contents.created_at} are restored."
        )


@contextlib.contextmanager
def _embedded_servers() -> Iterator[None]:
    """Start those servers until the block ends that no variable names; raises ServerFailed, DataFolderInUse.

    They may have got other ports than those that were free when the settings were read.
    """
    data_dir = settings.SAGA_DATA_DIR
    has_database, has_redis = (bool(os.environ.get(key)) for key in ("DATABASE_URL", "REDIS_URL"))
    with contextlib.ExitStack() as resources:
        if not (has_database and has_redis):
            resources.enter_context(holding.data_folder(data_dir))
        if not has_database:
            resources.enter_context(_running(postgresql.server(data_dir)))
            resources.callback(connections.close_all)
            postgresql.create_database(data_dir)
            connection.settings_dict["PORT"] = embedded.port(data_dir, "postgresql")
        if not has_redis:
            resources.enter_context(_running(valkey.server(data_dir)))
            caches.settings["default"] = redis_urls.cache(embedded.redis_url(data_dir), None)
            with contextlib.suppress(AttributeError):  # none was made yet
                del caches["default"]
        yield


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()
