"""Move the embedded PostgreSQL's data to the installed major version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from saga_project.local import holding
from saga_project.local.embedded import upgrade
from saga_project.local.embedded.processes import ServerFailed


class Command(BaseCommand):
    help = (
        "Dump the data of the embedded PostgreSQL by the programs of its own major version, and restore it"
        " into a new cluster of the installed one. Stop Saga first. The old cluster is kept."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--programs",
            type=Path,
            help="The folder of the old version's postgres, if not a usual one.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("DATABASE_URL"):
            raise CommandError(
                "DATABASE_URL names a server of your own; upgrade it with its own tools, such as pg_upgrade."
            )
        try:
            with holding.data_folder(settings.SAGA_DATA_DIR):
                done = upgrade.upgrade(settings.SAGA_DATA_DIR, programs=options["programs"])
        except (ServerFailed, holding.DataFolderInUse) as exc:
            raise CommandError(str(exc)) from exc
        if done is None:
            self.stdout.write("The data is of the installed PostgreSQL already.")
        else:
            self.stdout.write(
                f"PostgreSQL {done.former} was upgraded to {done.present}; the old data is kept in"
                f" {done.kept}."
            )
