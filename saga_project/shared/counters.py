"""Per-process counters in shared memory: a few whole numbers of each web process in a mapped file.

A process writes its own cells as plain memory and maps the files of the others to sum them. A file
is locked until its process ends, so that the file of a killed process is recognised and removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HITS, MISSES, SIZE, REFRESHED_US, STREAMS, LONG_POLLS = range(6)
#: Cells for what is answered before Django, by route.
FAST_PATH = {
    "lookup": 8,
    "list": 9,
    "heartbeat": 10,
    "bulk_heartbeat": 11,
    "registration": 12,
    "resolve": 13,
}
#: So many cells further are those for answers that say 503.
UNAVAILABLE = 8
_COUNT = 24
_BYTES = _COUNT * 8
# The previous release gives its files the same name: both serve during an upgrade.
_SUFFIX = ".figures"

#: This process's own; private until ``share``. Refer to it as ``counters.cells``: sharing replaces it.
cells: Any = memoryview(bytearray(_BYTES)).cast("q")
_own: Path | None = None
_folder: Path | None = None


def share(folder: Path) -> None:
    """Share this process's cells with the other processes of this server; keeps their values."""
    global cells, _own, _folder
    folder.mkdir(parents=True, exist_ok=True)
    path = file_of(folder, os.getpid())
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # held, with the descriptor, until the process ends
    os.truncate(descriptor, _BYTES)
    shared = memoryview(mmap.mmap(descriptor, _BYTES)).cast("q")
    shared[:] = cells
    cells, _own, _folder = shared, path, folder


def file_of(folder: Path, pid: int) -> Path:
    """Return the file in which a process shares its counters."""
    return folder / f"{pid}{_SUFFIX}"


def of_all_processes() -> list[list[int]]:
    """Return the cells of every running web process of this server, this one's first."""
    return [cells.tolist(), *_of_the_others()]


def read_cells(path: Path) -> list[int]:
    """Return the cells in any process's file; zeros while the file is being created."""
    return memoryview(path.read_bytes().ljust(_BYTES, b"\0")).cast("q").tolist()


def _of_the_others() -> Iterator[list[int]]:
    for path in sorted(_folder.glob(f"*{_SUFFIX}")) if _folder else []:
        if path != _own:
            with contextlib.suppress(FileNotFoundError):
                yield from _read(path)


def _read(path: Path) -> Iterator[list[int]]:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # its process runs
            yield read_cells(path)
        else:
            path.unlink(missing_ok=True)
