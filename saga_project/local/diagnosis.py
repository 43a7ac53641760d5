"""What would keep Saga from starting or working on this machine, each with what to do about it.

Each check looks at one thing, changes nothing, and yields findings: ``ok``, ``warning``, or ``problem``.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import ResponseError

from registry.operations import encryption_keys
from saga_project.local import listening
from saga_project.shared import errors, redis
from saga_project.shared.http_client import proxies

Level = Literal["ok", "warning", "problem"]

FREE_BYTES = 2**30
OTHER_FILES = 500
CLOCK_SECONDS = 2.0
PROXY_SECONDS = 3.0
MINIMUM_POSTGRESQL = 140_000
LEVELS: dict[int, Level] = {checks.WARNING: "warning", checks.ERROR: "problem"}


@dataclass(frozen=True)
class Symptom:
    level: Level
    subject: str
    text: str


def findings() -> Iterator[Symptom]:
    """Look at everything, the machine first."""
    for look in LOOKS:
        yield from look()


def _look_at_settings() -> Iterator[Symptom]:
    found = [each for each in checks.run_checks(tags=["saga"]) if not each.is_silenced()]
    for each in found:
        level = LEVELS.get(each.level, "problem")
        yield Symptom(level, "settings", f"{each.msg} {each.hint or ''}".strip())
    if not found:
        version = ".".join(map(str, sys.version_info[:3]))
        yield Symptom("ok", "settings", f"Python {version}, Saga {settings.SAGA_VERSION}")


def _look_at_data_folder() -> Iterator[Symptom]:
    folder: Path = settings.SAGA_DATA_DIR
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        text = (
            f"{nearest} cannot be written to by this account; set SAGA_DATA_DIR to another folder."
        )
        yield Symptom("problem", "data folder", text)
        return
    free = shutil.disk_usage(nearest).free
    message = f"{folder}, {free / 2**30:.1f} GiB free"
    level: Level = "ok" if free >= FREE_BYTES else "warning"
    yield Symptom(level, "data folder", message)
    secrets = folder / "secrets"
    if secrets.exists() and stat.S_IMODE(secrets.stat().st_mode) & 0o077:
        text = f"other accounts can look into {secrets}; run: chmod 700 {secrets}"
        yield Symptom("problem", "secrets", text)


def _look_at_port() -> Iterator[Symptom]:
    address = f"{settings.HOST}:{settings.PORT}"
    try:
        listening.listen(settings.HOST, settings.PORT).close()
    except OSError as exc:
        text = (
            f"{address} cannot be listened on ({_reason(exc)}); where this is not Saga itself,"
            " stop what listens there, or set PORT to another number."
        )
        yield Symptom("warning", "port", text)
    else:
        yield Symptom("ok", "port", f"{address} is free")


def _reason(exc: OSError) -> str | None:
    """Return the system's words; asyncio and socket add the address to theirs."""
    return exc.strerror if isinstance(exc, socket.gaierror) else os.strerror(exc.errno or 0)


def _look_at_open_files() -> Iterator[Symptom]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.SAGA_MAX_CONNECTIONS + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        text = (
            f"a process may open {hard} files, and {settings.SAGA_MAX_CONNECTIONS} connections need"
            f" {wanted}; raise the limit (LimitNOFILE, ulimit -n), or lower SAGA_MAX_CONNECTIONS."
        )
        yield Symptom("warning", "open files", text)
    else:
        yield Symptom("ok", "open files", f"up to {hard if hard >= 0 else 'any number'}")


def _look_at_postgresql() -> Iterator[Symptom]:
    try:
        with psycopg.connect(**connection.get_connection_params()) as direct:
            number = direct.info.server_version
            version, encoding, is_read_only, now = _facts(direct)
            apart = time.time() - now
    except psycopg.Error as exc:
        yield _unreachable("PostgreSQL", "DATABASE_URL", exc)
        return
    if number < MINIMUM_POSTGRESQL:
        yield Symptom("problem", "PostgreSQL", f"{version} is older than 14.")
    if encoding != "UTF8":
        yield Symptom("problem", "PostgreSQL", f"the database's encoding is {encoding}, not UTF8.")
    if is_read_only == "on":
        yield Symptom("problem", "PostgreSQL", "the server takes no writes; name its primary.")
    yield Symptom("ok", "PostgreSQL", version)
    yield _clock("PostgreSQL", apart)
    yield from _look_at_tables()


def _facts(direct: psycopg.Connection[Any]) -> tuple[str, str, str, float]:
    row = direct.execute(
        "SELECT current_setting('server_version'), current_setting('server_encoding'),"
        " current_setting('transaction_read_only'), extract(epoch FROM clock_timestamp())::float8"
    ).fetchone()
    assert row is not None  # noqa: S101 (a SELECT without FROM gives one row)
    return row[0], row[1], row[2], row[3]


def _look_at_tables() -> Iterator[Symptom]:
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        text = f"{missing} are not applied; `saga server prepare` and `saga server run` apply them."
        yield Symptom("warning", "migrations", text)
        return
    yield Symptom("ok", "migrations", "all are applied")
    complaint = encryption_keys.describe_missing()
    yield Symptom("problem" if complaint else "ok", "encryption", complaint or "all keys are here")


def _look_at_redis() -> Iterator[Symptom]:
    try:
        with redis.breaker.guard():
            client = redis.connection()
            facts = client.info()
            seconds, microseconds = client.time()
            apart = time.time() - seconds - microseconds / 1e6
    except errors.RedisUnavailable as exc:
        yield _unreachable("Redis", "REDIS_URL", exc.__cause__ or exc)
        return
    except ResponseError as exc:  # such as NOPERM
        yield Symptom("problem", "Redis", f"REDIS_URL: {exc}")
        return
    version = (
        f"{facts.get('server_name', 'redis')} {facts.get('valkey_version', facts['redis_version'])}"
    )
    if facts.get("cluster_enabled"):
        yield Symptom("problem", "Redis", "a Cluster cannot be used; name a single server.")
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory") and policy != "noeviction":
        text = f"maxmemory-policy is {policy}: presence would be evicted; set it to noeviction."
        yield Symptom("problem", "Redis", text)
    yield Symptom("ok", "Redis", version)
    yield _clock("Redis", apart)


def _look_at_proxy() -> Iterator[Symptom]:
    if not settings.SAGA_HTTP_PROXY:
        return
    proxy = proxies.read(settings.SAGA_HTTP_PROXY)
    place = proxies.authority(proxy.url.host, proxy.url.port)
    try:
        socket.create_connection((proxy.url.host, proxy.url.port), PROXY_SECONDS).close()
    except OSError as exc:
        text = f"SAGA_HTTP_PROXY: {place} cannot be reached ({exc.strerror or exc})."
        yield Symptom("problem", "proxy", text)
    else:
        login = "with a login" if proxy.authorization else "without a login"
        yield Symptom("ok", "proxy", f"outgoing calls go through {place}, {login}")


def _clock(server: str, apart: float) -> Symptom:
    if abs(apart) < CLOCK_SECONDS:
        return Symptom("ok", "clock", f"{server}'s is {abs(apart):.2f} s apart from this machine's")
    side = "behind" if apart > 0 else "ahead of"
    text = f"{server}'s is {abs(apart):.0f} s {side} this machine's; synchronise both by NTP."
    return Symptom("warning", "clock", text)


def _unreachable(server: str, variable: str, exc: BaseException) -> Symptom:
    if not os.environ.get(variable):
        return Symptom("ok", server, "the embedded one does not run; `saga server run` starts it")
    first = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
    return Symptom("problem", server, f"{variable}: {first}")


LOOKS: tuple[Callable[[], Iterator[Symptom]], ...] = (
    _look_at_settings,
    _look_at_data_folder,
    _look_at_port,
    _look_at_open_files,
    _look_at_postgresql,
    _look_at_redis,
    _look_at_proxy,
)
