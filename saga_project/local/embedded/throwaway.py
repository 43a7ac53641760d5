"""Servers with data that is thrown away: ``python -m saga_project.local.embedded.throwaway``.

Prints their addresses as one line of JSON, then serves until its standard input closes. A pipe closes however
its owner ends, so tests that are killed leave nothing behind. Given a data folder, it begins with a copy of
the PostgreSQL there.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from saga_project.local import embedded
from saga_project.local.embedded import postgresql, processes, valkey

DATABASES = 64
PASSWORDS = ("postgresql_password", "database_password")


def begin_with(source: Path, data_dir: Path) -> None:
    """Copy the cluster of another data folder and its passwords; no server may run over either."""
    copy_cluster(
        source / "postgresql", postgresql.place(data_dir, processes.unprivileged_account())
    )
    (data_dir / "secrets").mkdir(mode=0o700, exist_ok=True)
    for name in PASSWORDS:
        shutil.copy2(source / "secrets" / name, data_dir / "secrets" / name)


def copy_cluster(source: Path, folder: Path) -> None:
    """Copy the files; they keep the account that they belong to."""
    subprocess.run(["/bin/cp", "-a", source, folder], check=True)


def serve(data_dir: Path) -> None:
    for name in embedded.PREFERRED_PORTS:  # those are for "make run"
        embedded.remember_port(data_dir, name, processes.any_free_port())
    database = postgresql.server(data_dir, is_durable=False)
    store = valkey.server(data_dir, databases=DATABASES)
    try:
        database.start()
        store.start()
        postgresql.create_database(data_dir)
        addresses = {
            "DATABASE_URL": embedded.database_url(data_dir),
            "REDIS_URL": embedded.redis_url(data_dir),
        }
        print(json.dumps(addresses), flush=True)
        sys.stdin.read()
    finally:
        store.stop()
        database.stop()
        shutil.rmtree(database.folder, ignore_errors=True)


def main() -> None:
    # A signal often reaches the whole group: the owner handles it, and its end closes the pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="saga-") as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder).resolve()
        if sys.argv[1:]:
            begin_with(Path(sys.argv[1]), data_dir)
        serve(data_dir)


if __name__ == "__main__":
    main()
