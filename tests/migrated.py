"""A PostgreSQL cluster with a migrated database, made once for each content of the migrations.

Migrating an empty database takes seconds, copying the files of a cluster a tenth of one. The servers of the
tests, and each stack whose first start is not what is tested, begin with such a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from saga_project.local import embedded
from saga_project.local.embedded import postgresql, processes, throwaway

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "var" / "tests"
APPS = ("registry", "updates", "webhooks")
#: What the migrations of the apps import, what makes the cluster, and the versions of the other migrations.
OTHER_SOURCES = (
    "registry/identity/roles.py",
    "registry/models/triggers.py",
    "updates/models/triggers.py",
    "saga_project/local/embedded/postgresql.py",
    "requirements.lock",
    "tests/migrated.py",
)
#: A copy of the database ``saga`` to which no process connects: PostgreSQL copies only such a one.
TEMPLATE = "migrated"
KEPT_SECONDS = 24 * 3600


def copy_to(data_dir: Path) -> None:
    """Give an empty data folder the cluster and its passwords."""
    data_dir.mkdir(parents=True, exist_ok=True)
    throwaway.begin_with(cluster(), data_dir)


@functools.cache
def cluster() -> Path:
    """Return the data folder that has the cluster; processes that ask at once make one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Files of PostgreSQL belong to the account that made them.
    made = FOLDER / f"cluster-{os.geteuid()}-{_digest()}"
    with _alone():
        if not made.exists():
            _make(made)
        os.utime(made)
        _forget_old(made)
    return made


def _digest() -> str:
    sources = [ROOT / name for name in OTHER_SOURCES]
    for app in APPS:
        sources += sorted((ROOT / app / "migrations").glob("*.py"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.relative_to(ROOT)}\0".encode() + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait for other processes; the kernel releases the lock of one that is killed."""
    with (FOLDER / f"lock-{os.geteuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(made: Path) -> None:
    """Make it elsewhere, where PostgreSQL's account can go, and move it here whole."""
    draft = made.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="saga-migrated-") as name:
        data_dir = Path(name).resolve()
        data_dir.chmod(0o711)
        embedded.remember_port(data_dir, "postgresql", processes.any_free_port())
        server = postgresql.server(data_dir, is_durable=False)
        try:
            server.start()
            postgresql.create_database(data_dir)
            _migrate(data_dir)
            postgresql.copy_database(data_dir, "saga", TEMPLATE)
            server.stop()
            draft.mkdir(mode=0o700)
            throwaway.copy_cluster(server.folder, draft / "postgresql")
            shutil.copytree(data_dir / "secrets", draft / "secrets")
        finally:
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)
    _write_through(draft)
    draft.replace(made)


def _write_through(folder: Path) -> None:
    """Leave nothing to the system's buffers: a machine that loses power must not keep half of it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _migrate(data_dir: Path) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": embedded.database_url(data_dir),
        "SAGA_DATA_DIR": str(data_dir),
    }
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def _forget_old(used: Path) -> None:
    for folder in FOLDER.glob(f"cluster-{os.geteuid()}-*"):
        if folder != used and folder.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
