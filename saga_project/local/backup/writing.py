"""Writing a backup: every table in one snapshot, so that Saga may go on meanwhile."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from registry.models import Service
from saga_project.local.backup import archive, tables
from saga_project.local.backup.archive import BackupFailed, Contents, Writer
from updates.artifacts import store
from updates.history import records


def back_up(path: Path) -> Contents:
    """Write a backup to ``path``; raises BackupFailed where it cannot be written."""
    try:
        with archive.writing(path) as writer:
            contents = _write(writer)
            archive.finish(writer, contents)
    except OSError as exc:
        raise BackupFailed(f"{path} cannot be written: {exc.strerror or exc}") from exc
    return contents


def _write(writer: Writer) -> Contents:
    with transaction.atomic(durable=True):
        tables.begin_snapshot()
        written, rows = _write_tables(writer)
        migrations = _applied_migrations()
        names = list(Service.objects.order_by("pk").values_list("name", flat=True))
        current = {name: records.deployed_version(name) for name in names}
    secrets = {"encryption_keys": settings.SAGA_ENCRYPTION_KEYS, "secret_key": settings.SECRET_KEY}
    writer.add_text("secrets.json", json.dumps(secrets))
    return Contents(
        saga_version=settings.SAGA_VERSION,
        created_at=timezone.now().isoformat(),
        migrations=migrations,
        tables=written,
        artifacts=_write_artifacts(writer, current),
        rows=rows,
    )


def _write_tables(writer: Writer) -> tuple[dict[str, list[str]], int]:
    written, rows = tables.columns_by_table(), 0
    for table, columns in written.items():
        with tempfile.TemporaryFile() as file:
            rows += tables.dump(table, columns, file)
            writer.add(f"tables/{table}", file)
    return written, rows


def _applied_migrations() -> dict[str, list[str]]:
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied


def _write_artifacts(writer: Writer, current: dict[str, str | None]) -> list[str]:
    """Add the artifact of each service's current release, where this host has it."""
    written = []
    for name, version in current.items():
        path = store.named_path(name, version) if version else None
        if path is not None and path.is_file():
            place = str(path.relative_to(settings.SAGA_ARTIFACTS_DIR))
            with path.open("rb") as file:
                writer.add(f"artifacts/{place}", file)
            written.append(place)
    return written
