"""The release before this one, as its tag has it: its files, and the migrations that it knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tag() -> str:
    """Return the newest tag of a release that is reached from here; skips in a clone without one."""
    done = _git("describe", "--tags", "--abbrev=0", "--match=v*")
    if done.returncode:
        pytest.skip("no tag of a previous release in this clone (git fetch --tags)")
    return done.stdout.decode().strip()


def extract(folder: Path) -> None:
    """Write the files of that release to a folder."""
    done = _git("archive", tag())
    assert done.returncode == 0, done.stderr
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-C", folder, "-xf", "-"], input=done.stdout, check=True)


def migrations(app: str) -> list[str]:
    """Return the names of an app's migrations in that release, oldest first."""
    done = _git("ls-tree", "--name-only", tag(), f"{app}/migrations/")
    names = [Path(line).stem for line in done.stdout.decode().splitlines()]
    return sorted(name for name in names if name[0].isdigit() and "squashed" not in name)


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
