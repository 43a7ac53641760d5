import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks
from django.db import connection

from saga_project.local.management.commands import prepare
from tests import webserver

ROOT = Path(__file__).resolve().parents[2]


def ids(messages):
    return {message.id for message in messages if message.id.startswith("saga.")}


def found():
    """What a start is given."""
    return ids(checks.run_checks(tags=prepare.Command.requires_system_checks))


def test_the_defaults_are_in_order():
    assert found() == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SAGA_AUTH": "open", "IS_LOOPBACK": False}, "saga.W001"),
        ({"REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD": 10}, "saga.E001"),
        ({"HEARTBEAT_INTERVAL": 60}, "saga.W002"),
        ({"SAGA_OIDC_AUDIENCE": "saga"}, "saga.E003"),
        ({"SAGA_OIDC_ISSUER": "https://id.example"}, "saga.W004"),
        ({"SAGA_ENCRYPTION_KEYS": ["short"]}, "saga.E005"),
        ({"SECRET_KEY": "changeme"}, "saga.W006"),
        ({"SECRET_KEY": "ab" * 40}, "saga.W006"),
    ],
)
def test_combinations_that_cannot_work_are_reported(settings, changes, expected):
    for name, value in changes.items():
        setattr(settings, name, value)

    assert expected in found()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_utf8_is_refused_with_what_to_do():
    name = f"ascii_{connection.settings_dict['NAME']}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0"
            " LOCALE_PROVIDER libc LOCALE 'C'"
        )
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": webserver.database_url(name=name)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")

    assert done.returncode == 1
    assert "DATABASE_URL: the database's encoding is SQL_ASCII" in done.stderr
    assert done.stderr.count("\n") == 1


def test_web_process_wakes_the_workers(tmp_path):
    """A task that is sent by its name goes to Celery's current app, which must be Saga's."""
    program = "from saga_project import wsgi; import celery; print(celery.current_app.main)"

    assert _web_process(program, tmp_path) == "saga\n"


def test_a_web_process_looks_through_little_for_garbage(tmp_path):
    """A full collection halts every answer; what the program itself consists of is never garbage."""
    program = (
        "from saga_project import asgi; import gc; from django.urls import get_resolver;"
        " get_resolver().url_patterns; print(gc.get_freeze_count() // len(gc.get_objects()))"
    )

    assert int(_web_process(program, tmp_path)) >= 10


def _web_process(program, folder):
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"HOME": str(folder), "SAGA_DATA_DIR": str(folder / "var")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
