"""Restoring a backup into a database that holds nothing yet, of the same PostgreSQL or another one."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from registry import presence
from registry.events import log
from registry.models import Event, Service
from saga_project.local import embedded
from saga_project.local.backup import archive, tables
from saga_project.local.backup.archive import BackupFailed, Contents
from saga_project.shared import errors
from updates.artifacts import files, store


def restore(path: Path, *, is_replacing: bool = False) -> Contents:
    """Restore a backup; raises BackupFailed, before anything was changed.

    ``is_replacing`` allows a database that holds something, which is deleted.
    """
    with archive.reading(path) as (tar, contents):
        missing = _missing_keys(tar)
        _check_migrations(path, contents)
        if not is_replacing:
            _check_empty()
        if missing:
            settings.SAGA_ENCRYPTION_KEYS[:] = embedded.add_encryption_keys(
                settings.SAGA_DATA_DIR, missing
            )
        _migrate_to(contents)
        with transaction.atomic(durable=True):
            _load(tar, contents)
        call_command("migrate", interactive=False, verbosity=0)
        log.adopt_restored()
        for place in contents.artifacts:
            _restore_artifact(tar, place)
    _forget_presence()
    return contents


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    source = tar.extractfile(name)
    if source is None:
        raise BackupFailed(f"{name} is missing in the backup.")
    return source


def _missing_keys(tar: tarfile.TarFile) -> list[str]:
    """Return the keys that the data folder lacks; the stored secrets are worthless without them.

    Raises BackupFailed where a variable names the keys: it would be without them at the next start.
    """
    secrets = json.loads(_open(tar, "secrets.json").read())
    missing = [
        key for key in secrets["encryption_keys"] if key not in settings.SAGA_ENCRYPTION_KEYS
    ]
    is_of_folder = embedded.are_keys_of_folder(
        settings.SAGA_DATA_DIR, settings.SAGA_ENCRYPTION_KEYS
    )
    if missing and not is_of_folder:
        raise BackupFailed(
            "SAGA_ENCRYPTION_KEYS: the backup's secrets were encrypted with another key. Add the keys in"
            " its secrets.json (tar -xzO -f FILE secrets.json) after your own, then restore again."
        )
    return missing


def _check_migrations(path: Path, contents: Contents) -> None:
    known = MigrationLoader(connection).disk_migrations
    unknown = [
        f"{app}.{name}"
        for app, names in contents.migrations.items()
        for name in names
        if (app, name) not in known and app in {key[0] for key in known}
    ]
    if unknown:
        raise BackupFailed(
            f"{path} is from Saga {contents.saga_version}, which is newer than this one"
            f" ({unknown[0]} is not known). Install that version first."
        )


def _check_empty() -> None:
    if not _has_tables():
        return
    if any(model.objects.exists() for model in (Service, Event, get_user_model())):
        raise BackupFailed(
            "DATABASE_URL: the database is not empty. Name an empty one, or delete what it holds with"
            " --replace."
        )


def _has_tables() -> bool:
    return Service._meta.db_table in connection.introspection.table_names()


def _migrate_to(contents: Contents) -> None:
    """Give the database the tables that it had when the backup was written."""
    call_command("migrate", interactive=False, verbosity=0)
    loader = MigrationLoader(connection)
    for app, names in contents.migrations.items():
        newest = loader.graph.leaf_nodes(app) if app in loader.migrated_apps else []
        if newest and newest[0][1] not in names:
            call_command("migrate", app, names[-1], interactive=False, verbosity=0)


def _load(tar: tarfile.TarFile, contents: Contents) -> None:
    tables.lift_timeouts()
    present = list(tables.columns_by_table())
    tables.set_triggers(present, are_on=False)
    tables.empty(present)
    count = 0
    for table, columns in contents.tables.items():
        count += tables.load(table, columns, _open(tar, f"tables/{table}"))
    tables.advance_sequences(contents.tables)
    tables.set_triggers(present, are_on=True)
    if count != contents.rows:
        raise BackupFailed(f"{count} of {contents.rows} rows were restored; nothing was changed.")


def _restore_artifact(tar: tarfile.TarFile, place: str) -> None:
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise BackupFailed(f"The backup names an artifact outside its folder: {place}")
    path: Path = settings.SAGA_ARTIFACTS_DIR / place
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    with draft.open("wb") as file:
        shutil.copyfileobj(_open(tar, f"artifacts/{place}"), file)
    draft.chmod(0o644)
    files.rename(draft, path)
    content = store.content_path(files.sha256(path))
    content.parent.mkdir(parents=True, exist_ok=True)
    if not content.exists():
        content.hardlink_to(path)


def _forget_presence() -> None:
    """Empty presence: web processes fill it again from the restored database."""
    try:
        presence.forget_everything()
    except errors.RedisUnavailable:
        raise BackupFailed(
            "The database is restored, but Redis cannot be reached to forget what it knew before:"
            " empty it (FLUSHDB) before Saga starts."
        ) from None
