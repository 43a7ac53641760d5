"""The cluster that the tests copy is made anew when what it is made of changes, and whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import migrated

MIGRATION = "updates/migrations/0001_initial.py"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the clusters that are made, of a project in an empty folder."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        made.append(folder)

    for name in (*migrated.OTHER_SOURCES, MIGRATION):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    monkeypatch.setattr(migrated, "ROOT", tmp_path)
    monkeypatch.setattr(migrated, "FOLDER", tmp_path / "var" / "tests")
    monkeypatch.setattr(migrated, "_make", make)
    return made


@pytest.fixture
def ask() -> Callable[[], Path]:
    """Ask as another process would."""
    return migrated.cluster.__wrapped__


def test_one_is_made_for_the_same_migrations(made: list[Path], ask: Callable[[], Path]) -> None:
    assert [ask(), ask()] == made * 2


@pytest.mark.parametrize("name", [MIGRATION, *migrated.OTHER_SOURCES])
def test_another_is_made_after_a_change(
    name: str, tmp_path: Path, made: list[Path], ask: Callable[[], Path]
) -> None:
    before = ask()

    (tmp_path / name).write_text("changed")

    assert [before, ask()] == made
    assert len(set(made)) == 2


def test_old_ones_are_forgotten(
    made: list[Path], ask: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ask()
    monkeypatch.setattr(migrated, "KEPT_SECONDS", -60)

    (migrated.ROOT / MIGRATION).write_text("changed")
    ask()

    assert not old.exists()
