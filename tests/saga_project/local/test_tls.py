"""PostgreSQL behind TLS, by an address as docs/production.md prints it."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db.utils import ConnectionHandler, OperationalError

from saga_project.local import embedded
from saga_project.local.embedded import postgresql, processes
from tests import certificates, postgresql_servers, waiting

pytestmark = pytest.mark.django_db


@dataclass
class Address:
    """What a URL of this server consists of."""

    password: str
    port: int
    authority: Path

    def url(self, *, host: str = "localhost", authority: Path | None = None) -> str:
        trusted = authority or self.authority
        return (
            f"postgresql://saga:{self.password}@{host}:{self.port}/saga"
            f"?sslmode=verify-full&sslrootcert={trusted}&hostaddr=127.0.0.1"
        )


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with tempfile.TemporaryDirectory(prefix="saga-tls-") as name:
        data_dir = Path(name)
        data_dir.chmod(0o711)
        embedded.remember_port(data_dir, "postgresql", processes.any_free_port())
        server = _encrypting_server(data_dir)
        server.start()
        try:
            postgresql.create_database(data_dir)
            expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
            certificate, key = certificates.write(data_dir, expires_at, name="localhost")
            _encrypt(server, certificate, key)
            password = embedded.secret(data_dir, "database_password")
            yield Address(password, postgresql_servers.port_of(server), certificate)
        finally:
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)


def _encrypting_server(data_dir: Path) -> processes.Server:
    """Return a server of an installed PostgreSQL: the embedded one is built without TLS."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL with TLS is installed (apt: postgresql)")
    account = processes.unprivileged_account()
    programs, folder = found[-1].parent, postgresql.place(data_dir, account)
    folder.mkdir(mode=0o700)
    password = data_dir / "password"
    password.write_text(embedded.secret(data_dir, "postgresql_password"))
    command = [str(programs / "initdb"), "-D", str(folder), "--username=postgres"]
    command += [f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    if account is None:
        subprocess.run(command, check=True, capture_output=True)
    else:
        for path in (folder, password):
            shutil.chown(path, account.uid, account.gid)
        assert account.run(command).returncode == 0
    chosen = postgresql.SETTINGS | postgresql.QUICK_AND_FORGETFUL
    return postgresql.server_of(data_dir, folder, programs, account=account, chosen=chosen)


def _encrypt(server: processes.Server, certificate: Path, key: Path) -> None:
    for file, target in ((certificate, "server.crt"), (key, "server.key")):
        place = server.folder / target
        shutil.copy(file, place)
        place.chmod(0o600)
        if server.account:
            shutil.chown(place, server.account.uid, server.account.gid)
    with postgresql_servers.connect(server) as admin:
        admin.execute("ALTER SYSTEM SET ssl = on")
        admin.execute("SELECT pg_reload_conf()")

    def is_encrypting() -> bool:
        with postgresql_servers.connect(server) as admin:
            return admin.execute("SHOW ssl").fetchone() == ("on",)

    waiting.until(is_encrypting)


def is_encrypted(url: str) -> bool:
    """Connect as Saga does, and ask the server whether this connection is encrypted."""
    connection = ConnectionHandler({"default": embedded.parse_database_url(url)})["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(cursor.fetchone() == (True,))
    finally:
        connection.close()


def test_connection_is_encrypted(address: Address) -> None:
    assert is_encrypted(address.url())


def test_certificate_of_another_name_is_refused(address: Address) -> None:
    with pytest.raises(OperationalError, match="db\\.example"):
        is_encrypted(address.url(host="db.example"))


def test_certificate_of_another_authority_is_refused(address: Address, tmp_path: Path) -> None:
    expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
    other, _ = certificates.write(tmp_path, expires_at, name="localhost")

    with pytest.raises(OperationalError, match="certificate verify failed"):
        is_encrypted(address.url(authority=other))
