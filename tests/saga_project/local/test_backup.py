"""A backup is taken while Saga runs, and comes back in another database as it was."""

from __future__ import annotations

import gzip
import io
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from registry import operations, presence
from registry.identity import accounts
from registry.models import Event, Service
from saga_project.local import embedded, holding
from saga_project.local.backup import tables
from tests import webserver
from tests.factories import HistoryEntryFactory, ServiceFactory
from updates.artifacts import store
from webhooks import operations as webhook_operations
from webhooks import signing_secrets

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

ROOT = Path(__file__).resolve().parents[3]
ARTIFACT = b"the artifact of payment 1.0.0"


@pytest.fixture
def artifacts(tmp_path: Path, settings: Settings) -> Path:
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "artifacts"
    return tmp_path / "artifacts"


@pytest.fixture
def file(tmp_path: Path, artifacts: Path) -> Path:
    """A backup of a registry with a service, its secret, its history and its artifact."""
    registration = operations.Registration(service_name="payment", url="http://localhost:1")
    operations.register(registration, by=None, now=timezone.now())
    webhook_operations.configure("payment", endpoints={}, secret="s" * 32, now=timezone.now())
    HistoryEntryFactory.create(service_name="payment", running_version="1.0.0")
    get_user_model().objects.create_superuser("ada", password="lovelace")
    accounts.ensure_account("ci", scopes=["services:read"])
    path = store.named_path("payment", "1.0.0")
    path.parent.mkdir(parents=True)
    path.write_bytes(ARTIFACT)
    call_command("backup", str(tmp_path / "saga.backup"), stdout=io.StringIO())
    return tmp_path / "saga.backup"


@pytest.fixture
def other_database() -> Iterator[str]:
    """The address of a new, empty database on the same server."""
    name = f"{connection.settings_dict['NAME']}_restored"
    with psycopg.connect(webserver.database_url(), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
        admin.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
        yield webserver.database_url(name=name)
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def restore(
    file: Path, *options: str, database_url: str, artifacts: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "restore", str(file), *options],
        cwd=ROOT,
        env={
            **webserver.environment(),
            "DATABASE_URL": database_url,
            "SAGA_ARTIFACTS_DIR": str(artifacts),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def rows_of(url: str) -> dict[str, list[Any]]:
    """Return all rows of all tables, apart from what a restored event log must forget."""
    names = tables.columns_by_table()
    with psycopg.connect(url) as reader:
        found = {}
        for table, columns in names.items():
            known = [name for name in columns if (table, name) != ("registry_event", "transaction")]
            quoted = ", ".join(f'"{name}"' for name in known)
            found[table] = sorted(map(str, reader.execute(f'SELECT {quoted} FROM "{table}"')))
        found.pop("registry_eventhorizon", None)
        return found


def test_a_backup_comes_back_in_another_database(
    file: Path, other_database: str, artifacts: Path, tmp_path: Path
) -> None:
    before = rows_of(webserver.database_url())

    done = restore(file, database_url=other_database, artifacts=tmp_path / "there")

    assert done.returncode == 0, done.stderr
    assert "1 artifacts" in done.stdout
    assert rows_of(other_database) == before
    assert before["registry_service"]
    restored = tmp_path / "there" / store.named_path("payment", "1.0.0").relative_to(artifacts)
    assert restored.read_bytes() == ARTIFACT
    with psycopg.connect(other_database) as reader:
        [number] = reader.execute("SELECT max(id) FROM registry_service").fetchone() or (0,)
        [following] = reader.execute(
            "SELECT nextval(pg_get_serial_sequence('registry_service', 'id'))"
        ).fetchone() or (0,)
    assert following == number + 1


def test_a_backup_comes_back_where_saga_never_ran(file: Path, tmp_path: Path) -> None:
    """The embedded servers of the data folder are started for it, and its keys get those of the backup."""
    with tempfile.TemporaryDirectory(prefix="saga-restored-") as name:
        Path(name).chmod(0o711)  # PostgreSQL of a root user runs as another account

        def into_the_folder() -> subprocess.CompletedProcess[str]:
            return restore(
                file,
                database_url="",
                artifacts=tmp_path / "there",
                SAGA_DATA_DIR=name,
                REDIS_URL="",
                SAGA_ENCRYPTION_KEYS="",
            )

        first, second = into_the_folder(), into_the_folder()

        assert first.returncode == 0, first.stderr
        assert "rows and 1 artifacts" in first.stdout
        own, *restored = embedded.encryption_keys(Path(name))
        assert restored == django_settings.SAGA_ENCRYPTION_KEYS
        assert own not in restored
        assert (second.returncode, "the database is not empty" in second.stderr) == (1, True)
        assert not (Path(name) / "postgresql" / "postmaster.pid").exists()
        assert not (Path(name) / "valkey" / "valkey.pid").exists()


def test_a_backup_is_not_restored_into_a_running_saga(file: Path, tmp_path: Path) -> None:
    with holding.data_folder(tmp_path):
        refused = restore(
            file, database_url="", artifacts=tmp_path / "there", SAGA_DATA_DIR=str(tmp_path)
        )

    assert refused.returncode == 1
    assert "stop it there with Ctrl-C first" in refused.stderr


def test_a_backup_replaces_what_the_database_holds(file: Path) -> None:
    ServiceFactory.create(name="late")
    with pytest.raises(CommandError, match="not empty"):
        call_command("restore", str(file))

    call_command("restore", str(file), "--replace", stdout=io.StringIO())

    assert list(Service.objects.values_list("name", flat=True)) == ["payment"]
    assert signing_secrets.live("payment", now=timezone.now()) == ["s" * 32]
    assert get_user_model().objects.get().check_password("lovelace")
    presence.mark_filled()
    operations.register(
        operations.Registration(service_name="new", url="http://localhost:2"),
        by=None,
        now=timezone.now(),
    )
    assert Event.objects.filter(service_name="new").exists()


def test_only_its_owner_can_read_a_backup(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_damaged_backup_is_refused_before_anything_changes(file: Path, tmp_path: Path) -> None:
    raw = gzip.decompress(file.read_bytes())
    damaged = tmp_path / "damaged"
    damaged.write_bytes(gzip.compress(raw.replace(b"payment", b"Payment", 1)))

    with pytest.raises(CommandError, match=r"damaged|cannot be read"):
        call_command("restore", str(damaged), "--replace")

    assert Service.objects.get().name == "payment"


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("hello")

    with pytest.raises(CommandError, match="cannot be read"):
        call_command("restore", str(path))


def test_backup_with_missing_keys_is_rejected(file: Path, settings: Settings) -> None:
    settings.SAGA_ENCRYPTION_KEYS = ["another"]

    with pytest.raises(CommandError, match="SAGA_ENCRYPTION_KEYS"):
        call_command("restore", str(file), "--replace")


def test_the_keys_are_in_the_backup(file: Path) -> None:
    with tarfile.open(file) as tar:
        source = tar.extractfile("secrets.json")
        assert source is not None
        assert django_settings.SAGA_ENCRYPTION_KEYS[0] in source.read().decode()


def test_a_backup_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("backup", str(tmp_path / "missing" / "saga.backup"))
