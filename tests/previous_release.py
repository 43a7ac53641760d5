"""The release before this one: its files, and the migrations that it knows.

The newest tag of a release names it. Where a clone has no tags, it is the commit that put the newest release
into the changelog.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_RELEASE = re.compile(r"^## ([0-9]+\.[0-9]+\.[0-9]+)$", re.MULTILINE)


def commit() -> str:
    """Return the name of the release's commit; skips where there is no history."""
    tag = _git("describe", "--tags", "--abbrev=0", "--match=v*")
    if tag.returncode == 0:
        return tag.stdout.decode().strip()
    match = _RELEASE.search((ROOT / "CHANGELOG.md").read_text())
    assert match is not None
    heading = f"## {match[1]}"
    found = _git("log", "--reverse", "--format=%H", f"-S{heading}", "--", "CHANGELOG.md")
    if found.returncode or not found.stdout:
        pytest.skip(
            "no history of the previous release in this clone (git fetch --unshallow --tags)"
        )
    return found.stdout.decode().split()[0]


def extract(folder: Path) -> None:
    """Write the files of that release to a folder."""
    done = _git("archive", commit())
    assert done.returncode == 0, done.stderr
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-C", folder, "-xf", "-"], input=done.stdout, check=True)


def migrations(app: str) -> list[str]:
    """Return the names of an app's migrations in that release, oldest first."""
    done = _git("ls-tree", "--name-only", commit(), f"{app}/migrations/")
    names = [Path(line).stem for line in done.stdout.decode().splitlines()]
    return sorted(name for name in names if name[0].isdigit() and "squashed" not in name)


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
