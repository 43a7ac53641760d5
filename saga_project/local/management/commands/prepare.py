"""Migrate the database and create the first admin user."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from registry import presence
from registry.events import log
from registry.operations import encryption_keys
from saga_project.shared import errors, locks, static_files

ADMIN = "admin"

POOLER = (
    "DATABASE_URL: PgBouncer does not pass on the session settings that Saga needs"
    " (lock_timeout, statement_timeout); name PostgreSQL itself."
)


class Command(BaseCommand):
    help = "Check the settings, migrate the database, and create the first admin user."
    requires_system_checks = [
        "saga"
    ]  # what an operator can set wrong; the rest is for "make check"

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_cluster()
        static_files.collect()
        try:
            _refuse_poolers()
            _refuse_other_encodings()
            self._migrate()
        except OperationalError as exc:
            raise CommandError(f"The database cannot be used: {exc}") from exc
        if complaint := encryption_keys.describe_missing():
            raise CommandError(complaint)
        encryption_keys.record()
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


def _refuse_poolers() -> None:
    """A pooler that ignores the startup parameter ``options`` drops every timeout."""
    try:
        with psycopg.connect(**connection.get_connection_params()) as direct:
            row = direct.execute("SHOW lock_timeout").fetchone()
    except psycopg.OperationalError as exc:
        if "unsupported startup parameter" in str(exc):
            raise CommandError(POOLER) from exc
        raise CommandError(f"The database cannot be used: {exc}") from exc
    if row == ("0",):
        raise CommandError(POOLER)


def _refuse_cluster() -> None:
    """The scripts use several keys at once, which a Cluster keeps on several servers."""
    with contextlib.suppress(errors.RedisUnavailable):  # it may come later
        if presence.is_cluster():
            raise CommandError(
                "REDIS_URL: a Redis Cluster cannot be used; name a single Redis or Valkey server."
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
