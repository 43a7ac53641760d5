"""A pytest plugin: one PostgreSQL and one Valkey for the whole run, wherever no others are named.

It must come before pytest-django, which reads the settings: hence "-p tests.servers" in pyproject.toml.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import migrated

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
CONFIGURED = ("HOST", "PORT", "SERVICE_NAME", "HEARTBEAT_INTERVAL", "REGISTRATION_TTL")
#: Names the database that the workers' own ones begin as a copy of.
TEMPLATE_VARIABLE = "TEST_DATABASE_TEMPLATE"
LAST_REDIS_DATABASE = (
    15  # Redis has 16 unless configured otherwise; the tests count down from the last
)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    _keep_compiled_code()
    if not WORKER:
        _forget_configuration()
        _make_data_folder(early_config)
        if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
            _start_servers(early_config)
    if WORKER or not early_config.known_args_namespace.numprocesses:
        os.environ["REDIS_URL"] = _redis_of_this_worker(os.environ["REDIS_URL"])
        os.environ["SAGA_DATA_DIR"] += f"/{WORKER or 'data'}"
    return (yield)


def _keep_compiled_code() -> None:
    """Have hundreds of processes read code that the first of them compiled, as everywhere else."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _forget_configuration() -> None:
    """Variables exported for another Saga must not affect a test."""
    os.environ.pop(TEMPLATE_VARIABLE, None)
    for name in list(os.environ):
        if name in CONFIGURED or name.startswith(("SAGA_", "REGISTRY_")):
            del os.environ[name]


def _make_data_folder(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory(prefix="saga-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["SAGA_DATA_DIR"] = folder.name
    os.environ["SAGA_CONFIG"] = f"{folder.name}/config.toml"
    Path(os.environ["SAGA_CONFIG"]).touch()


def _start_servers(config: pytest.Config) -> None:
    """Set DATABASE_URL and REDIS_URL, where they are not set, to servers that end with this process."""
    if "DATABASE_URL" not in os.environ:
        os.environ[TEMPLATE_VARIABLE] = migrated.TEMPLATE
    child = subprocess.Popen(
        [sys.executable, "-m", "saga_project.local.embedded.throwaway", str(migrated.cluster())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    answer = child.stdout.readline()
    if not answer:
        pytest.exit("The embedded servers did not start; see above.", returncode=1)
    for name, address in json.loads(answer).items():
        os.environ.setdefault(name, address)
    config.add_cleanup(partial(_stop_servers, child))


def _stop_servers(child: subprocess.Popen[str]) -> None:
    child.communicate()  # closes its standard input, at which it stops them


def _redis_of_this_worker(url: str) -> str:
    number = LAST_REDIS_DATABASE - int(WORKER.removeprefix("gw") or 0)
    if number < 1:
        pytest.exit(f"Redis has no database for worker {WORKER}: use fewer workers.", returncode=1)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts._replace(query=f"db={number}").geturl()
    return parts._replace(path=f"/{number}").geturl()
