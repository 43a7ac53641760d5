"""The distribution: the wheel in an empty environment, and the commands that the server adds."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from saga_project.local import commands
from tests import stack as stacks
from tests.clients.conftest import ROOT, SOURCE

pytestmark = pytest.mark.xdist_group("clients")

CLIENT = ROOT / "clients" / "python"


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    return subprocess.run(
        [str(word) for word in command],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    done = run(sys.executable, "-m", "pip", "wheel", *options, CLIENT)
    assert done.returncode == 0, done.stderr
    [file] = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment with the wheel; dependencies come from this one."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    done = run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel)
    assert done.returncode == 0, done.stderr
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_wheel_is_small_and_holds_the_license_and_the_types(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.stat().st_size < 100_000
    assert "saga_client/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"saga_client"}


def test_installed_command_works(empty: Path, stack: stacks.Stack, token: str, tmp_path: Path):
    variables = {
        "SAGA_URL": f"http://127.0.0.1:{stack.port}",
        "SAGA_TOKEN": token,
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    version = run(empty / "saga", "--version")
    where = run(empty / "python", "-c", "import saga_client; print(saga_client.__file__)")
    registered = run(empty / "saga", "services", "register", "wheeled", "http://a:1", **variables)
    listed = run(empty / "saga", "services", "list", "--search", "wheeled", **variables)

    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert version.stdout.strip() == f"saga, version {project['version']}"
    assert str(empty.parent) in where.stdout
    assert registered.returncode == 0, registered.stderr
    assert "wheeled" in listed.stdout


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PYTHONPATH on which the entry points of this checkout are installed, whatever else is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    information = tmp_path / "checkout-1.dist-info"
    information.mkdir()
    lines = [
        f"{name} = {target}" for name, target in project["entry-points"]["saga.commands"].items()
    ]
    (information / "entry_points.txt").write_text("\n".join(["[saga.commands]", *lines, ""]))
    return os.pathsep.join([str(tmp_path), str(SOURCE), str(ROOT)])


def test_server_adds_its_commands(path: str, stack: stacks.Stack, token: str):
    saga = (sys.executable, "-m", "saga_client")

    top = run(*saga, "--help", PYTHONPATH=path)
    server = run(*saga, "server", "--help", PYTHONPATH=path)
    local = run(*saga, "server", "local-token", **{**stack.environment, "PYTHONPATH": path})
    unknown = run(*saga, "server", "dance", PYTHONPATH=path)

    assert "server " in top.stdout
    assert "Start the whole stack" in server.stdout
    assert local.stdout.strip() == token, local.stderr
    assert unknown.returncode == 2


def test_every_command_of_the_server_exists():
    files = {file.stem for file in ROOT.glob("*/**/management/commands/*.py")}

    assert {name.replace("-", "_") for name in commands.COMMANDS} <= files | {"shell"}
