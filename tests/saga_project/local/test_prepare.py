"""Servers that Saga cannot use are named in one sentence before anything starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from registry.operations import encryption_keys
from saga_project.local.embedded import processes
from saga_project.shared import crypto
from tests import redis_servers, waiting, webserver

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
CONFIGURATION = """\
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
auth_type = any
pool_mode = transaction
unix_socket_dir =
logfile = {folder}/log
pidfile = {folder}/pid
ignore_startup_parameters = {ignored}
"""


def prepare(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "prepare"],
        cwd=ROOT,
        env={**webserver.environment(), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextlib.contextmanager
def pgbouncer(*, ignored: str) -> Iterator[str]:
    """Run PgBouncer before this test's database; yields the address through it."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed (apt: pgbouncer)")
    known, folder = connection.settings_dict, Path(tempfile.mkdtemp(prefix="saga-pgbouncer-"))
    port = processes.any_free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(
            host=known["HOST"],
            port=known["PORT"] or 5432,
            user=known["USER"],
            password=known["PASSWORD"],
            own_port=port,
            folder=folder,
            ignored=ignored,
        )
    )
    folder.chmod(0o777)
    configuration.chmod(0o644)
    account = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([PGBOUNCER, *account, str(configuration)])
    url = webserver.database_url(host="127.0.0.1", port=port)
    try:
        waiting.until(lambda: is_answering(url), seconds=30)
        yield url
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def is_answering(url: str) -> bool:
    with contextlib.suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2):
        return True
    return False


@pytest.mark.parametrize("ignored", ["extra_float_digits", "extra_float_digits, options"])
def test_pgbouncer_is_refused_in_one_sentence(ignored: str) -> None:
    with pgbouncer(ignored=ignored) as url:
        done = prepare(DATABASE_URL=url)

    assert done.returncode == 1
    assert "DATABASE_URL: PgBouncer does not pass on" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_redis_cluster_is_refused_in_one_sentence() -> None:
    bus = str(processes.any_free_port())
    with redis_servers.running("--cluster-enabled", "yes", "--cluster-port", bus) as server:
        done = prepare(REDIS_URL=server.url)

    assert done.returncode == 1
    assert "REDIS_URL: a Redis Cluster cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


STARTS = {
    "prepare": ["manage.py", "prepare"],
    "sweeps": ["manage.py", "sweep"],
    "worker": ["-m", "celery", "--app=saga_project.celery", "worker", "--pool=solo"],
    "web": ["-m", "uvicorn", "saga_project.asgi:application", "--port=0", "--log-level=warning"],
}


def test_every_process_refuses_to_start_without_a_key_that_stored_secrets_need(
    tmp_path: Path,
) -> None:
    """The data folder is a new one, as after its loss: another key would be made there."""
    encryption_keys.record()
    known = webserver.environment()
    del known["SAGA_ENCRYPTION_KEYS"]
    started = {
        name: subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**known, "SAGA_DATA_DIR": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, words in STARTS.items()
    }

    said = {name: process.communicate(timeout=300)[1] for name, process in started.items()}

    sentence = f"SAGA_ENCRYPTION_KEYS: key {crypto.fingerprints()[0]} "
    assert {name for name, text in said.items() if sentence not in text} == set()
    assert {name for name, text in said.items() if "Traceback" in text} == set()
    assert all(process.returncode for process in started.values())


def test_servers_that_can_be_used_are_prepared() -> None:
    done = prepare()

    assert done.returncode == 0, done.stderr
