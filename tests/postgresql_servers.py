"""A primary PostgreSQL and a streaming standby of one test's own, from the embedded binaries."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from saga_project.local import embedded
from saga_project.local.embedded import postgresql, processes
from saga_project.local.embedded.processes import Server
from tests import waiting

REPLICATION = {"wal_level": "replica", "max_wal_senders": "5", "synchronous_commit": "on"}


@dataclass
class Cluster:
    """Both servers; every commit waits for the standby, so that a promotion loses none."""

    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        """The address as an operator writes it: both hosts, and writes wanted."""
        password = embedded.secret(self.primary.data_dir, "database_password")
        ports = [port_of(self.primary), port_of(self.standby)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://saga:{password}@{hosts}/saga?target_session_attrs=read-write"

    def promote(self) -> None:
        with connect(self.standby) as admin:
            admin.execute("SELECT pg_promote(true)")

    def is_streaming(self) -> bool:
        with connect(self.primary) as admin:
            row = admin.execute("SELECT sync_state FROM pg_stat_replication").fetchone()
        return row == ("sync",)


def port_of(server: Server) -> int:
    return embedded.port(server.data_dir, server.name)


def connect(server: Server, *, database: str = "postgres") -> psycopg.Connection[Any]:
    """Connect as the superuser."""
    return psycopg.connect(
        host="127.0.0.1",
        port=port_of(server),
        dbname=database,
        user="postgres",
        password=embedded.secret(server.data_dir, "postgresql_password"),
        autocommit=True,
    )


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Run both; the database ``saga`` exists on them and is empty."""
    with contextlib.ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="saga-standby-")))
        folder.chmod(0o711)
        primary = _started(folder / "primary", resources)
        postgresql.create_database(primary.data_dir)
        standby = _copied(primary, folder / "standby", resources)
        with connect(primary) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
        cluster = Cluster(primary, standby)
        waiting.until(cluster.is_streaming)
        yield cluster


def _started(data_dir: Path, resources: contextlib.ExitStack) -> Server:
    data_dir.mkdir(mode=0o711, exist_ok=True)
    embedded.remember_port(data_dir, "postgresql", processes.any_free_port())
    server = postgresql.server(data_dir, is_durable=False)
    for name, value in REPLICATION.items():
        server.argv += ["-c", f"{name}={value}"]
    resources.callback(shutil.rmtree, server.folder, ignore_errors=True)
    resources.callback(server.stop)
    server.start()
    return server


def _copied(primary: Server, data_dir: Path, resources: contextlib.ExitStack) -> Server:
    """Copy the running primary by pg_basebackup, and start the copy as its standby."""
    data_dir.mkdir(mode=0o711)
    shutil.copytree(primary.data_dir / "secrets", data_dir / "secrets")
    folder = data_dir / "postgresql"
    folder.mkdir(mode=0o700)
    password = embedded.secret(primary.data_dir, "postgresql_password")
    source = f"postgresql://postgres:{password}@127.0.0.1:{port_of(primary)}"
    command = [
        str(Path(primary.argv[0]).with_name("pg_basebackup")),
        *("-D", str(folder), "-d", source, "--write-recovery-conf", "--checkpoint=fast"),
    ]
    if primary.account is None:
        subprocess.run(command, check=True, capture_output=True)
    else:
        shutil.chown(folder, primary.account.uid, primary.account.gid)
        done = primary.account.run(command)
        assert done.returncode == 0, done.stderr
    return _started(data_dir, resources)
