"""What is said about a machine on which Saga would not start or work."""

from __future__ import annotations

import io
import resource
import socket
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from registry.models import EncryptionKey
from saga_project.local import diagnosis
from saga_project.local.diagnosis import Symptom
from saga_project.local.embedded import processes
from saga_project.shared import redis as shared_redis
from tests import redis_servers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture(autouse=True)
def _free_port(settings: Settings, tmp_path: Path) -> None:
    settings.PORT = processes.any_free_port()
    settings.SAGA_DATA_DIR = tmp_path


def found(subject: str) -> list[Symptom]:
    return [each for each in diagnosis.findings() if each.subject == subject]


def test_a_machine_on_which_all_is_well_has_no_problem() -> None:
    output = io.StringIO()

    call_command("diagnose", stdout=output)

    lines = output.getvalue().splitlines()
    subjects = {line.split()[1] for line in lines}
    assert {"PostgreSQL", "Redis", "port", "clock", "migrations", "encryption"} <= subjects
    assert [line for line in lines if line.startswith("problem")] == []


def test_servers_that_do_not_answer_are_problems(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    port = processes.any_free_port()
    parameters = {**connection.get_connection_params(), "host": "127.0.0.1", "port": port}
    monkeypatch.setattr(connection, "get_connection_params", lambda: parameters)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://saga@127.0.0.1:{port}/saga")
    output = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("diagnose", stdout=output)

    assert "problem  PostgreSQL   DATABASE_URL: " in output.getvalue()
    assert "refused" in output.getvalue()


def test_embedded_servers_that_do_not_run_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {**connection.get_connection_params(), "port": processes.any_free_port()}
    monkeypatch.setattr(connection, "get_connection_params", lambda: parameters)
    monkeypatch.delenv("DATABASE_URL", raising=False)

    [finding] = found("PostgreSQL")

    assert (finding.level, "does not run" in finding.text) == ("ok", True)


def test_a_taken_port_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.PORT)):
        [finding] = found("port")

    assert finding.level == "warning"
    assert (
        f"127.0.0.1:{settings.PORT} cannot be listened on (Address already in use)" in finding.text
    )


def test_secrets_that_others_can_read_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)

    [finding] = found("secrets")

    assert finding.level == "problem"
    assert "chmod 700" in finding.text


def test_a_low_limit_of_open_files_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 1024))

    [finding] = found("open files")

    assert finding.level == "warning"
    assert "1024" in finding.text


def test_a_missing_encryption_key_is_a_problem() -> None:
    EncryptionKey.objects.create(fingerprint="0123456789ab")

    [finding] = found("encryption")

    assert finding.level == "problem"
    assert "0123456789ab" in finding.text


@pytest.mark.parametrize(("shift", "level"), [(0.0, "ok"), (90.0, "warning"), (-90.0, "warning")])
def test_a_clock_of_another_host_is_compared(
    monkeypatch: pytest.MonkeyPatch, shift: float, level: str
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)

    assert {each.level for each in found("clock")} == {level}


def test_a_redis_that_evicts_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru")
    with (
        redis_servers.running(*options) as server,
        server.client() as client,
        monkeypatch.context() as patched,
    ):
        patched.setattr(shared_redis, "connection", lambda: client)
        findings = found("Redis")

    assert "allkeys-lru" in findings[0].text
    assert findings[0].level == "problem"


def test_an_outgoing_proxy_is_named_without_its_login(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings.SAGA_HTTP_PROXY = f"http://saga:s3cret@127.0.0.1:{port}"
        [there] = found("proxy")
    [away] = found("proxy")
    settings.SAGA_HTTP_PROXY = ""

    assert there == Symptom(
        "ok", "proxy", f"outgoing calls go through 127.0.0.1:{port}, with a login"
    )
    assert away.level == "problem"
    assert "s3cret" not in away.text
    assert found("proxy") == []
