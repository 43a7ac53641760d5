"""The embedded servers, started for real in data folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis as redis_library
from django.db import connection

from saga_project import env
from saga_project.local import embedded
from saga_project.local.embedded import postgresql, processes, throwaway, valkey

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(data_dir: Path) -> Iterator[processes.Server]:
    server = valkey.server(data_dir)
    server.start()
    yield server
    server.stop()


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(env.ConfigurationError) as refused:
        embedded.secret(tmp_path / "file", "secret_key")

    assert str(refused.value).startswith(
        f"SAGA_DATA_DIR: {tmp_path}/file/secrets/secret_key cannot"
    )
    assert "(Not a directory)" in str(refused.value)


def test_a_secret_stays_the_same_and_is_for_its_owner_only(tmp_path: Path) -> None:
    first = embedded.secret(tmp_path, "secret_key")

    assert embedded.secret(tmp_path, "secret_key") == first
    assert (tmp_path / "secrets" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_reads_a_database_url_with_a_unix_socket() -> None:
    database = embedded.parse_database_url("postgresql://saga@/registry?host=/run/postgresql")

    assert (database["HOST"], database["NAME"], database["USER"]) == (
        "/run/postgresql",
        "registry",
        "saga",
    )


@pytest.mark.django_db
def test_both_ends_of_a_connection_notice_a_peer_without_power() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting::int FROM pg_settings WHERE name LIKE 'tcp%%' ORDER BY name"
        )
        of_server = dict(cursor.fetchall())
        ours = socket.socket(fileno=os.dup(cursor.connection.fileno()))
    with ours:
        idle = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        user_timeout_ms = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert of_server == {
        "tcp_keepalives_count": 3,
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_user_timeout": 20_000,
    }
    assert (idle, user_timeout_ms) == (10, 20_000)


def test_a_database_url_may_name_other_keepalives() -> None:
    database = embedded.parse_database_url("postgresql://saga@db/saga?keepalives_idle=60")

    assert database["OPTIONS"]["keepalives_idle"] == "60"
    assert database["OPTIONS"]["tcp_user_timeout"] == 20_000


@pytest.mark.parametrize(
    "url", ["mysql://localhost/saga", "postgresql://localhost", "postgresql://["]
)
def test_refuses_a_database_url_by_its_name(url: str) -> None:
    with pytest.raises(env.ConfigurationError, match=r"^DATABASE_URL: "):
        embedded.parse_database_url(url)


def test_a_broker_on_a_unix_socket_is_named_as_kombu_wants_it() -> None:
    assert (
        embedded.broker_url("unix:///run/redis.sock?db=3")
        == "redis+socket:///run/redis.sock?virtual_host=3"
    )


def test_a_cluster_is_made_started_and_stopped(data_dir: Path) -> None:
    server = postgresql.server(data_dir, is_durable=False)
    try:
        server.start()
        postgresql.create_database(data_dir)
        with psycopg.connect(embedded.database_url(data_dir)) as client:
            row = client.execute("SELECT current_user, current_database()").fetchone()
    finally:
        server.stop()

    assert row == ("saga", "saga")
    assert server.find() is None


def test_killed_cluster_starts_again(data_dir: Path) -> None:
    killed = postgresql.server(data_dir, is_durable=False)
    killed.start()
    assert killed.child
    os.kill(killed.child.pid, signal.SIGKILL)  # from here on a zombie, with processes of its own
    server = postgresql.server(data_dir, is_durable=False)
    try:
        is_new = server.start()
    finally:
        server.stop()
        killed.child.wait()

    assert is_new


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    old = data_dir / "old"
    (old / "postgresql").mkdir(parents=True)
    (old / "postgresql" / "PG_VERSION").write_text("15\n")

    with pytest.raises(processes.ServerFailed, match="written by PostgreSQL 15"):
        postgresql.server(old)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another account")
def test_root_keeps_the_cluster_where_the_other_account_can_go(data_dir: Path) -> None:
    hidden = data_dir / "hidden"
    hidden.mkdir(mode=0o700)
    server = postgresql.server(hidden, is_durable=False)
    try:
        is_new = server.start()
    finally:
        server.stop()
        shutil.rmtree(server.folder.parent)

    assert is_new
    assert (hidden / "postgresql").is_symlink()


def test_a_server_that_a_crashed_launcher_left_is_adopted(
    data_dir: Path, store: processes.Server
) -> None:
    running = store.find()

    successor = valkey.server(data_dir)

    assert successor.start() is False
    assert successor.find() == running


def test_a_server_that_ends_while_it_is_adopted_is_started_again(
    data_dir: Path, store: processes.Server
) -> None:
    successor = valkey.server(data_dir)

    def end_and_answer_nothing() -> bool:
        successor.is_answering = store.is_answering
        assert store.child
        store.child.kill()
        store.child.wait()
        return False

    successor.is_answering = end_and_answer_nothing
    try:
        is_new = successor.start()
    finally:
        successor.stop()

    assert is_new


def test_a_taken_port_is_replaced_and_the_new_one_remembered(
    data_dir: Path, store: processes.Server
) -> None:
    taken = embedded.port(data_dir, "valkey")
    other = data_dir / "other"
    other.mkdir()
    embedded.remember_port(other, "valkey", taken)
    second = valkey.server(other)
    try:
        second.start()
        answer = redis_library.Redis.from_url(embedded.redis_url(other)).ping()
    finally:
        second.stop()

    assert answer
    assert embedded.port(other, "valkey") != taken


def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    data_dir: Path, store: processes.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = embedded.port(data_dir, "valkey")
    other = data_dir / "late"
    other.mkdir()
    embedded.remember_port(other, "valkey", taken)
    look, first_looks = processes._is_free, iter([True])
    monkeypatch.setattr(processes, "_is_free", lambda port: next(first_looks, False) or look(port))
    second = valkey.server(other)
    try:
        second.start()
    finally:
        second.stop()

    assert embedded.port(other, "valkey") != taken


def test_a_copy_that_took_the_port_is_not_taken_for_the_own_cluster(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies know the same passwords, so that the other one accepts this one."""
    tmp_path.chmod(0o711)
    original, copy = data_dir, tmp_path / "copy"
    copy.mkdir(mode=0o711)
    postgresql.server(original)  # makes the cluster
    embedded.secret(original, "database_password")
    throwaway.begin_with(original, copy)
    port = processes.any_free_port()
    for folder in (original, copy):
        embedded.remember_port(folder, "postgresql", port)
    first, second = postgresql.server(original), postgresql.server(copy)
    first.start()
    look, first_looks = processes._is_free, iter([True])
    monkeypatch.setattr(processes, "_is_free", lambda port: next(first_looks, False) or look(port))
    try:
        second.start()

        assert embedded.port(copy, "postgresql") != port
        assert second.is_answering()
    finally:
        second.stop()
        first.stop()


def test_what_valkey_acknowledged_survives_a_kill(data_dir: Path, store: processes.Server) -> None:
    client = redis_library.Redis.from_url(embedded.redis_url(data_dir))
    client.set("answer", "42")
    assert store.child
    os.kill(store.child.pid, signal.SIGKILL)
    store.child.wait()

    store.start()

    assert client.get("answer") == b"42"


def test_pid_of_another_program_is_not_taken_for_the_server(data_dir: Path) -> None:
    server = valkey.server(data_dir)
    server.pid_file.write_text(f"{os.getpid()}\n")

    assert server.find() is None


@pytest.fixture
def own_data_dir() -> Iterator[Path]:
    """A data folder of one test, which any account may enter."""
    with tempfile.TemporaryDirectory(prefix="saga-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        embedded.remember_port(folder, "postgresql", processes.any_free_port())
        yield folder


@pytest.fixture
def of_another_major(own_data_dir: Path) -> Path:
    """A data folder with the cluster of an older PostgreSQL, in which Saga's database has a table."""
    present = postgresql.installed_major()
    others = [
        path
        for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if int(path.parent.name) < int(present)
    ]
    if not others:
        pytest.skip("no other major version of PostgreSQL is installed (apt: postgresql)")
    account = processes.unprivileged_account()
    programs, folder = others[0], postgresql.place(own_data_dir, account)
    folder.mkdir(mode=0o700, exist_ok=True)
    password = own_data_dir / "password"
    password.write_text(embedded.secret(own_data_dir, "postgresql_password"))
    command = [
        str(programs / "initdb"),
        "-D",
        str(folder),
        "--username=postgres",
        f"--pwfile={password}",
    ]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    if account is None:
        subprocess.run(command, check=True, capture_output=True)
    else:
        for path in (folder, password):
            shutil.chown(path, account.uid, account.gid)
        assert account.run(command).returncode == 0
    old = postgresql.server_of(
        own_data_dir, folder, programs, account=account, chosen=postgresql.SETTINGS
    )
    old.start()
    postgresql.create_database(own_data_dir)
    with psycopg.connect(embedded.database_url(own_data_dir)) as owner:
        owner.execute("CREATE TABLE kept (id serial PRIMARY KEY, word text)")
        owner.execute("INSERT INTO kept (word) VALUES ('größe'), ('two')")
    old.stop()
    return own_data_dir


def upgrade_postgresql(data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {key: text for key, text in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "manage.py", "upgrade_postgresql"],
        cwd=ROOT,
        env={**known, "SAGA_DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_data_of_an_older_major_version_is_moved_to_the_installed_one(
    of_another_major: Path,
) -> None:
    with pytest.raises(processes.ServerFailed, match="upgrade_postgresql"):
        postgresql.server(of_another_major)

    done = upgrade_postgresql(of_another_major)

    assert done.returncode == 0, done.stderr
    assert "the old data is kept in" in done.stdout
    server = postgresql.server(of_another_major)
    server.start()
    try:
        with psycopg.connect(embedded.database_url(of_another_major)) as owner:
            owner.execute("INSERT INTO kept (word) VALUES ('three')")
            rows = owner.execute("SELECT id, word FROM kept ORDER BY id").fetchall()
    finally:
        server.stop()
    assert rows == [(1, "größe"), (2, "two"), (3, "three")]
    assert "already" in upgrade_postgresql(of_another_major).stdout


def test_a_server_of_ones_own_is_not_upgraded(tmp_path: Path) -> None:
    done = upgrade_postgresql(tmp_path, DATABASE_URL="postgresql://h/saga")

    assert done.returncode == 1
    assert "DATABASE_URL names a server of your own" in done.stderr
