"""Move the embedded PostgreSQL's data to another major version, by dump and restore.

The old cluster needs the programs of its own version once more. It is kept beside the new one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from saga_project.local import embedded
from saga_project.local.embedded import postgresql, processes
from saga_project.local.embedded.processes import Server, ServerFailed

#: Where Debian and Red Hat keep several major versions side by side.
PLACES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")


@dataclass(frozen=True)
class Upgraded:
    """The versions, and where the old cluster is kept."""

    former: str
    present: str
    kept: Path


def upgrade(data_dir: Path, *, programs: Path | None = None) -> Upgraded | None:
    """Upgrade the cluster in a data folder that no launcher uses; None where it has this version already.

    Raises ServerFailed, and leaves the old cluster in its place, where something is missing or fails.
    """
    account = processes.unprivileged_account()
    folder = postgresql.place(data_dir, account)
    if not (folder / "PG_VERSION").exists():
        raise ServerFailed(f"{folder} holds no data of an embedded PostgreSQL.")
    former, present = postgresql.major_of(folder), postgresql.installed_major()
    if former == present:
        return None
    old = postgresql.server_of(
        data_dir,
        folder,
        programs or _find_programs(former),
        account=account,
        chosen=postgresql.SETTINGS,
    )
    tools = postgresql.binaries(folder.parent, account)
    kept = folder.with_name(f"postgresql-{former}")
    with tempfile.TemporaryDirectory(prefix="upgrade-", dir=data_dir) as scratch:
        dump = Path(scratch) / "saga.dump"
        with _running(old):
            _run(tools / "pg_dump", "--format=custom", f"--file={dump}", data_dir=data_dir)
        with _moved_aside(folder, kept), _running(postgresql.server(data_dir)):
            postgresql.create_database(data_dir)
            options = ("--no-owner", "--role=saga", "--exit-on-error", "--single-transaction")
            _run(tools / "pg_restore", *options, "--dbname=saga", str(dump), data_dir=data_dir)
    return Upgraded(former, present, kept)


def _find_programs(major: str) -> Path:
    for place in PLACES:
        folder = Path(place.format(major=major))
        if (folder / "postgres").exists():
            return folder
    raise ServerFailed(
        f"The data is of PostgreSQL {major}, and its programs are not here: install postgresql-{major}, or"
        " name the folder of that version's postgres with --programs."
    )


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def _moved_aside(folder: Path, kept: Path) -> Iterator[None]:
    """Rename the old cluster; where the new one fails, the old one gets its place back."""
    if kept.exists():
        raise ServerFailed(f"{kept} exists already, perhaps of an earlier upgrade; move it away.")
    folder.rename(kept)
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        kept.rename(folder)
        raise


def _run(program: Path, *options: str, data_dir: Path) -> None:
    """Run one of PostgreSQL's tools over Saga's database, as the superuser."""
    connection = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(embedded.port(data_dir, "postgresql")),
        "PGUSER": "postgres",
        "PGDATABASE": "saga",
        "PGPASSWORD": embedded.secret(data_dir, "postgresql_password"),
    }
    done = subprocess.run(
        [program, *options],
        env={**os.environ, **connection},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(f"{program.name} failed: {done.stderr.strip()}")
