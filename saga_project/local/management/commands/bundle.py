"""Write the settings and secrets that all hosts share to a file for ``SAGA_CONFIG``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from saga_project.local import bundle


class Command(BaseCommand):
    help = (
        "Write addresses, secrets and settings that every host of this Saga shares to FILE (TOML), for"
        " SAGA_CONFIG on the other hosts. The file holds the encryption keys: keep it as you keep them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("DATABASE_URL", "REDIS_URL"):
            if not os.environ.get(name):
                raise CommandError(
                    f"{name} is not set: the other hosts cannot reach the server that this host embeds."
                )
        try:
            names = bundle.write(options["file"])
        except OSError as exc:
            raise CommandError(f"{options['file']} cannot be written: {exc.strerror}.") from exc
        self.stdout.write(f"{options['file']}: {', '.join(names)}.")
