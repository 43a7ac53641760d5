"""Migrate the database and create the first admin user."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from registry.events import log
from saga_project.shared import locks

ADMIN = "admin"


class Command(BaseCommand):
    help = "Check the settings, migrate the database, and create the first admin user."
    requires_system_checks = [
        "saga"
    ]  # what an operator can set wrong; the rest is for "make check"

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _refuse_other_encodings()
            self._migrate()
        except OperationalError as exc:
            raise CommandError(f"The database cannot be used: {exc}") from exc
        if log.adopt_restored():
            self.stdout.write("Events of another PostgreSQL cluster were taken over as the oldest.")
        if not get_user_model().objects.filter(is_superuser=True).exists():
            self._create_admin()

    def _migrate(self) -> None:
        """Migrate, one process at a time; a migration may take longer than a request."""
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            cursor.execute("SELECT pg_advisory_lock(%s)", [int(locks.Lock.PREPARE)])
            if _is_behind():
                call_command("migrate", interactive=False, verbosity=0)
            cursor.execute("SELECT pg_advisory_unlock(%s)", [int(locks.Lock.PREPARE)])

    def _create_admin(self) -> None:
        password = secrets.token_urlsafe(12)
        file: Path = settings.SAGA_DATA_DIR / "admin-password"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(f"{password}\n")
        get_user_model().objects.create_superuser(ADMIN, password=password)
        self.stdout.write(
            f"Log in at http://{settings.HOST}:{settings.PORT}/admin/ as {ADMIN} with the password"
            f" {password} (shown once; kept in {file})."
        )


def _refuse_other_encodings() -> None:
    """A SQL_ASCII database, which initdb makes without a locale, takes no text beyond ASCII in JSON."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        encoding = cursor.fetchone()[0]
    if encoding != "UTF8":
        raise CommandError(
            f"DATABASE_URL: the database's encoding is {encoding}, but Saga needs UTF8; make one with"
            " createdb --encoding=UTF8 --template=template0."
        )


def _is_behind() -> bool:
    """Return whether a migration is missing; usually none is, and a start needs no more than this check."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
