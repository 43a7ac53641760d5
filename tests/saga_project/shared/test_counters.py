"""Counters of all web processes, in shared memory."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saga_project.shared import counters

SHARER = """
import pathlib, sys
from saga_project.shared import counters
counters.cells[counters.HITS] = 5
counters.share(pathlib.Path(sys.argv[1]))
counters.cells[counters.HITS] += 2
print("shared", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def figures_of_its_own() -> Iterator[None]:
    """Begin with none and leave none: other tests of this process count in the same cells."""
    importlib.reload(counters)
    yield
    importlib.reload(counters)


@contextmanager
def sharing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SHARER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "shared\n"
        yield process


def hits() -> list[int]:
    return [cells[counters.HITS] for cells in counters.of_all_processes()]


def test_a_process_that_shares_nothing_knows_its_own() -> None:
    counters.cells[counters.HITS] = 3

    assert hits() == [3]


def test_sharing_keeps_what_was_counted_before(tmp_path: Path) -> None:
    counters.cells[counters.HITS] = 3
    counters.share(tmp_path / "run")
    counters.cells[counters.HITS] += 1

    assert hits() == [4]


def test_each_process_sees_the_others_at_once(tmp_path: Path) -> None:
    counters.share(tmp_path)
    with sharing(tmp_path):
        assert hits() == [0, 7]


def test_a_killed_process_counts_no_more(tmp_path: Path) -> None:
    counters.share(tmp_path)
    before = hits()
    with sharing(tmp_path) as process:
        process.send_signal(signal.SIGKILL)

    assert hits() == before
    assert len(list(tmp_path.glob("*.figures"))) == 1
