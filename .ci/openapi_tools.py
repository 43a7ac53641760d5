"""Lint the OpenAPI document with Redocly and Spectral, and make clients of it: ``make openapi``.

The tools are installed into var/openapi, once for each change of what .ci/openapi pins.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / ".ci" / "openapi"
WORK = ROOT / "var" / "openapi"
PYTHON = WORK / "venv" / "bin" / "python"
BINARIES = WORK / "node_modules" / ".bin"
NPM = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--fetch-retries=1")
INSTALL_SECONDS = 300


class ToolFailed(Exception):
    """A tool ended with an error; the message is what it said."""


def install_npm_tools() -> None:
    """Install what comes from npm, unless it is there."""
    _install(
        PINS / "package.json",
        ["npm", "install", "--prefix", str(WORK), *NPM],
    )


def install_python_tools() -> None:
    """Install what comes from PyPI into an environment of its own, unless it is there."""
    if not PYTHON.exists():
        venv.create(WORK / "venv", with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install(PINS / "requirements.txt", [*pip, "--requirement", str(PINS / "requirements.txt")])


def _install(pins: Path, command: list[str]) -> None:
    """Run the command unless it ran for these pins; one process at a time."""
    WORK.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    stamp = WORK / f"{pins.name}.stamp"
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return
        shutil.copy(pins, WORK / pins.name)
        run(command, timeout_seconds=INSTALL_SECONDS)
        stamp.write_text(digest)


def run(
    command: list[str],
    *,
    folder: Path = ROOT,
    timeout_seconds: float | None = None,
    **variables: str,
) -> str:
    """Run a tool and return its output. Raises ToolFailed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "REDOCLY_TELEMETRY": "off", "CI": "true", **variables},
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as exc:
        raise ToolFailed(f"{command[0]} did not end within {timeout_seconds:.0f} seconds.") from exc
    if done.returncode:
        raise ToolFailed((done.stdout + done.stderr)[-8000:])
    return done.stdout


def lint_with_redocly(document: Path) -> str:
    command = [str(BINARIES / "redocly"), "lint", str(document), "--max-problems", "50"]
    said = run([*command, "--config", str(PINS / "redocly.yaml"), "--format", "json"])
    if json.loads(said)["totals"]["warnings"]:
        raise ToolFailed(said)
    return said


def lint_with_spectral(document: Path) -> str:
    command = [str(BINARIES / "spectral"), "lint", str(document)]
    return run([*command, "--ruleset", str(PINS / "spectral.yaml"), "--fail-severity", "hint"])


def make_python_client(document: Path, package: Path) -> str:
    """Write the package, formatted by nothing; a warning of the generator fails it."""
    configuration = package.parent / "openapi-python-client.yaml"
    configuration.write_text("post_hooks: []\n")
    command = [str(PYTHON), "-m", "openapi_python_client", "generate", "--path", str(document)]
    options = ["--output-path", str(package), "--meta", "none", "--fail-on-warning"]
    return run([*command, *options, "--config", str(configuration)])


def make_typescript_client(document: Path, types: Path) -> str:
    return run([str(BINARIES / "openapi-typescript"), str(document), "--output", str(types)])


def write_document(path: Path) -> None:
    """Write the document that web processes serve where a token is required."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
    import django  # noqa: PLC0415 - only this needs it

    django.setup()
    from saga_project.web import openapi  # noqa: PLC0415 - it needs Django

    path.write_bytes(openapi.document("required"))


def main() -> None:
    install_npm_tools()
    document = WORK / "saga.json"
    write_document(document)
    try:
        print(lint_with_redocly(document), lint_with_spectral(document), sep="\n")
    except ToolFailed as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
