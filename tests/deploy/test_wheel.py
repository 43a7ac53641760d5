"""The server's distribution: its wheel in an environment without a checkout."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import stack as stacks
from tests.deploy import namespaces
from tests.stack import ROOT

pytestmark = pytest.mark.xdist_group("wheel")

SAGA_VARIABLES = ("SAGA_", "DJANGO_", "DATABASE_URL", "REDIS_URL", "PYTHONPATH", "PYTEST_")


def build(project: Path, folder: Path) -> Path:
    """Build a wheel as ``make dist`` does; returns its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        [*command, folder], cwd=project, env=environment, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    [file] = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment with both wheels; dependencies come from this one.

    Lines of a ``.pth`` file are not read for further ``.pth`` files: the checkout stays unknown to it.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    client = build(ROOT / "clients" / "python", tmp_path_factory.mktemp("client"))
    venv.create(folder, with_pip=False, symlinks=True)
    options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    python = str(folder / "bin" / "python")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, client],
        check=True,
    )
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_wheel_holds_all_that_the_server_reads(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    for folder in ("templates", "static"):
        here = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.*")}
        assert {f"saga_project/{name}" for name in here} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        *("saga_project", "registry", "updates", "webhooks", "saga_server"),
    }


def test_same_sources_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    again = build(ROOT, tmp_path)

    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (wheel, again)]
    assert digests[0] == digests[1]


class InstalledStack(stacks.Stack):
    """A stack that runs from a wheel, in a folder with a package that is called like one of Saga's."""

    def __init__(self, folder: Path, commands: Path) -> None:
        super().__init__(folder, variables={})
        self.environment = {
            **{k: v for k, v in self.environment.items() if not k.startswith(SAGA_VARIABLES)},
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "share"),
            "SAGA_LOG_FORMAT": "json",
            "SAGA_AUTH": "local-token",
            "SAGA_WEB_PROCESSES": "1",
        }
        self.command = [commands / "saga", "server", "run"]
        self.present_folder = folder
        self.saga = commands / "saga"
        (folder / "registry").mkdir()
        (folder / "registry" / "__init__.py").write_text("raise SystemExit('another registry')")

    def run(self, *arguments: str) -> str:
        """Return what a command of ``saga`` prints."""
        environment = {**self.environment, "SAGA_URL": f"http://127.0.0.1:{self.port}"}
        done = subprocess.run(
            [self.saga, *arguments],
            cwd=self.folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def stack(commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledStack]:
    stack = InstalledStack(tmp_path_factory.mktemp("stack"), commands)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def test_an_installed_server_runs_and_prints_objects(stack: InstalledStack) -> None:
    stack.run("services", "register", "hello", "http://127.0.0.1:9000")
    listed = stack.run("services", "list", "--output", "json")
    checked = stack.run("server", "verify-audit")
    page = stack.call("GET", "/static/saga/console.css")

    assert "hello" in listed
    assert checked
    assert page[0] == 200
    assert (stack.folder / "share" / "saga" / "secrets" / "secret_key").exists()
    facts = [json.loads(line) for line in stack.log().decode().splitlines()]
    assert "postgresql started" in {fact["event"] for fact in facts}
    assert all(fact["program"] for fact in facts)


def _printed(marker: str) -> str:
    """Return the block of the quickstart that has the marker."""
    text = (ROOT / "docs" / "quickstart.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    [found] = [block for block in blocks if marker in block]
    return str(found)


def _pack(folder: Path, version: str) -> None:
    (folder / "app.py").write_text(f"print({version!r})\n")
    with tarfile.open(folder / f"hello-{version}.tar.gz", "w:gz") as archive:
        archive.add(folder / "app.py", "app.py")


def test_an_empty_host_joins_deploys_and_rolls_back_as_printed(
    stack: InstalledStack, commands: Path, tmp_path: Path
) -> None:
    if reason := namespaces.why_not():
        pytest.skip(f"This machine makes no empty host: {reason}")
    for version in ("1.0.0", "1.1.0"):
        _pack(tmp_path, version)
    token = stack.run("server", "create-token", "me", "--scopes", "admin:registry").strip()
    join_token = stack.run("nodes", "join-token", "web1", "--approve").strip()
    script = _printed("saga agent run")
    script = script.replace("https://saga.example.com", f"http://127.0.0.1:{namespaces.PORT}")
    script = script.replace("sagajoin_…", join_token)

    with namespaces.leading_out(tmp_path / "out", stack.port):
        done = namespaces.run(
            f"set -e; trap 'kill $(jobs -p); wait' EXIT\n{script}",
            way_out=tmp_path / "out",
            folder=tmp_path,
            variables={
                "PATH": f"{commands}{os.pathsep}/usr/bin{os.pathsep}/bin",
                "HOME": str(tmp_path),
                "SAGA_URL": f"http://127.0.0.1:{namespaces.PORT}",
                "SAGA_TOKEN": token,
                "SAGA_AGENT_FOLDER": str(tmp_path / "agent"),
            },
        )

    assert done.returncode == 0, done.stdout + done.stderr
    installed = tmp_path / "agent" / "services" / "greeting" / "web1"
    assert (installed / "current" / "app.py").read_text() == "print('1.0.0')\n"
    assert {path.name for path in (installed / "releases").iterdir()} == {"1.0.0", "1.1.0"}
