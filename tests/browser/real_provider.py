"""oidc-provider, a certified OpenID Connect provider from npm, as a process of a test's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "oidc-provider@9.13.3"
FOLDER = ROOT / "var" / PACKAGE
PROGRAM = Path(__file__).with_name("oidc_provider.mjs")
LEAST_NODE = 20
INSTALL_SECONDS = 300


def installed() -> Path:
    """Return the folder that has the package, which npm installs; skips the test where that fails."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < LEAST_NODE:
        pytest.skip(f"{PACKAGE} needs node {LEAST_NODE}, and this is {version.strip()}")
    stamp = FOLDER / "stamp"
    if not stamp.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--fetch-retries=1"]
        try:
            done = subprocess.run(
                [npm, "install", "--prefix", str(FOLDER), *options, PACKAGE],
                check=False,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm install {PACKAGE} did not end within {INSTALL_SECONDS} seconds")
        if done.returncode:
            pytest.skip(f"npm install {PACKAGE}: {done.stderr.strip()[-300:]}")
        stamp.touch()
    return FOLDER


@contextmanager
def running(issuer: str, **options: Any) -> Iterator[None]:
    """Run the provider until the block ends; the options are those of ``oidc_provider.mjs``."""
    folder = installed()
    with subprocess.Popen(
        ["node", str(PROGRAM), str(folder), json.dumps({"issuer": issuer, **options})],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert "listening" in process.stdout.readline(), "the provider did not start"
            yield
        finally:
            process.kill()
