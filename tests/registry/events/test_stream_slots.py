"""Stream slots are counted over processes, and come back whatever their process died of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry.events import stream_slots

HOLDER = """
import pathlib, sys
from saga_project import wsgi  # sets Django up
from registry.events import stream_slots
own = stream_slots.StreamSlots(pathlib.Path(sys.argv[1]), total=3)
print(own.take(), own.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "streams.lock"


def test_there_are_so_many_and_no_more(path: Path) -> None:
    own = stream_slots.StreamSlots(path, total=2)

    assert [own.take(), own.take(), own.take()] == [0, 1, None]


def test_released_slot_is_acquired_again(path: Path) -> None:
    own = stream_slots.StreamSlots(path, total=1)
    slot = own.take()
    assert slot is not None
    own.give_back(slot)

    assert own.take() == 0


def test_limit_of_zero_refuses_every_stream(path: Path) -> None:
    assert stream_slots.StreamSlots(path, total=0).take() is None


def test_another_process_counts_until_it_is_killed(path: Path) -> None:
    own = stream_slots.StreamSlots(path, total=3)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "0 1\n"
        while_it_lives = [own.take(), own.take()]
        holder.kill()

    assert while_it_lives == [2, None]
    assert own.take() == 0
