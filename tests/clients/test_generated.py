"""Clients that are generated from the OpenAPI document compile, and make a journey against a stack."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saga_project.web import openapi
from tests import stack as stacks
from tests.ci import openapi_tools

pytestmark = pytest.mark.xdist_group("clients")

JOURNEYS = Path(__file__).parent / "generated"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "saga.json"
    path.write_bytes(openapi.document("required"))
    return path


def run(command: list[str | Path], stack: stacks.Stack, token: str, **variables: str) -> Any:
    """Return what a journey prints."""
    done = subprocess.run(
        command,
        env={
            "PATH": stack.environment["PATH"],
            "SAGA_URL": f"http://127.0.0.1:{stack.port}",
            "SAGA_TOKEN": token,
            **variables,
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected(url: str) -> dict[str, Any]:
    return {
        "url": url,
        "ttl": 60,
        "subscriptions": 1,
        "has_secret": True,
        "urls_of_events": [url],
        "afterwards": "Service not found",
    }


def test_python_client_is_generated_whole_and_makes_the_journey(
    document: Path, stack: stacks.Stack, token: str, tmp_path: Path
) -> None:
    tools = openapi_tools.with_python()
    tools.make_python_client(document, tmp_path / "saga_api")
    journey = shutil.copy(JOURNEYS / "journey.py", tmp_path / "journey.py")
    strict = tmp_path / "mypy.ini"
    # The generator's templates pass on to httpx what they take as objects, and cast more than they must.
    options = "strict = true\nwarn_redundant_casts = false"
    strict.write_text(f"[mypy]\n{options}\n[mypy-saga_api.client]\nignore_errors = true\n")

    checker = [sys.executable, "-m", "mypy", "--python-executable", str(tools.PYTHON)]
    files = ["--config-file", str(strict), "journey.py", "saga_api"]
    tools.run([*checker, *files], folder=tmp_path)
    found = run([tools.PYTHON, journey], stack, token, PYTHONPATH=str(tmp_path))

    assert found == expected("http://127.0.0.1:9100")


def test_typescript_client_compiles_and_makes_the_journey(
    document: Path, stack: stacks.Stack, token: str, tmp_path: Path
) -> None:
    tools = openapi_tools.with_npm()
    tools.make_typescript_client(document, tmp_path / "saga.d.ts")
    (tmp_path / "node_modules").symlink_to(tools.WORK / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    journey = shutil.copy(JOURNEYS / "journey.ts", tmp_path / "journey.ts")

    compiler = [str(tools.BINARIES / "tsc"), "--strict", "--target", "es2022", "--types", "node"]
    modules = ["--module", "nodenext", "--moduleResolution", "nodenext"]
    tools.run([*compiler, *modules, str(journey)], folder=tmp_path)
    found = run(["node", tmp_path / "journey.js"], stack, token)

    assert found == expected("http://127.0.0.1:9101")
