"""The systemd units start what ``make run`` starts, and systemd accepts them."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from saga_project.local import stack

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy" / "systemd"
BACKGROUND = ("sweeps", "worker", "delivery", "checks", "beat")
ANALYZE = shutil.which("systemd-analyze")


def _command(unit: str) -> list[str]:
    """Return the arguments behind the interpreter, without the specifiers' escape."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / unit)
    interpreter, *arguments = shlex.split(parser["Service"]["ExecStart"])
    assert interpreter == "/opt/saga/.venv/bin/python"
    return [each.replace("%%", "%") for each in arguments]


def _without_filters(argv: list[str]) -> list[str]:
    return argv[3:] if argv[1] == "-W" else argv[1:]


def test_background_units_run_the_programs_of_the_launcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "SAGA_NODE_NAME", "local")
    programs = {
        program.name: _without_filters(list(program.argv))
        for program in stack._background_programs()
    }

    commands = {name: _command(f"saga-{name}.service") for name in BACKGROUND}

    assert {name: sorted(argv) for name, argv in commands.items()} == {
        name: sorted(argv) for name, argv in programs.items()
    }


def test_web_units_run_the_web_processes_of_the_launcher_on_the_shared_socket() -> None:
    assert sorted(_command("saga-web@.service")) == sorted(stack._web(3)[1:])


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is missing")
def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/saga", str(ROOT))
        text = text.replace("User=saga", "User=daemon").replace("Group=saga", "Group=daemon")
        (tmp_path / unit.name).write_text(text)

    assert ANALYZE
    done = subprocess.run(
        [ANALYZE, "verify", *sorted(tmp_path.iterdir())],
        check=False,
        capture_output=True,
        text=True,
    )

    about_saga = [line for line in done.stderr.splitlines() if "saga" in line]
    assert (done.returncode, about_saga) == (0, []), done.stderr
