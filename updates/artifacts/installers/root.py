"""The lock and the fence of an install root.

The lock keeps two processes from working there at once. The fence keeps out the one that comes late: a
worker that was frozen, lost its job to another and woke up, or a control plane with a database
from an old backup. Fences are the names of empty files in ``.fence/``; the highest counts, so
that raising it needs no lock and no order of arrival can lower it.

New files are first made beside their place, then the fence is checked, then they are renamed. A worker
that raises the fence removes what was made so far: a worker that froze after its check fails to rename.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from updates.artifacts import files
from updates.step_context import StepFailed

FENCES = ".fence"
LOCK = ".lock"
POLL_SECONDS = 0.05


class StaleFence(StepFailed):
    """A worker with a higher fence has used this root."""


@dataclass(frozen=True, kw_only=True)
class Root:
    path: Path
    fence: int

    def check_fence(self) -> None:
        """Raise StaleFence if another has taken over; called right before each change."""
        highest = _highest(self.path / FENCES)
        if highest > self.fence:
            raise StaleFence(
                f"{self.path} was last worked on under fence {highest}, ours is {self.fence}: another"
                " worker took over. If Saga's database was restored from an old backup, remove"
                f" {self.path / FENCES} to have this root accept it."
            )

    @property
    def current(self) -> str | None:
        """The version that ``current`` points at."""
        link = self.path / "current"
        return link.readlink().name if link.is_symlink() else None

    def release(self, version: str) -> Path:
        return self.path / "releases" / version

    def manifest(self, version: str) -> Path:
        return self.path / "manifests" / f"{version}.json"

    def build_mark(self, version: str) -> Path:
        """The file that says that the release was prepared by its hook."""
        return self.path / "manifests" / f"{version}.built"


@contextmanager
def open_root(
    path: Path, *, fence: int, timeout_seconds: float, checkpoint: Callable[[], None]
) -> Iterator[Root]:
    """Raise the fence, then wait for the lock; yield the root, ours alone."""
    folders = (path, path / "releases", path / "manifests")
    for name in ("releases", "manifests", FENCES):
        (path / name).mkdir(parents=True, exist_ok=True)
    root = Root(path=path, fence=fence)
    root.check_fence()
    _raise_fence(path / FENCES, fence)
    _remove_leftovers(folders)
    ends_at = time.monotonic() + timeout_seconds

    def wait() -> None:
        checkpoint()
        if time.monotonic() > ends_at:
            raise StepFailed(f"Another process has held the lock of {path} for too long.")
        time.sleep(POLL_SECONDS)

    with files.locked(path / LOCK, is_waited_for=wait):
        root.check_fence()
        _remove_leftovers(folders)
        yield root


def _remove_leftovers(folders: Iterable[Path]) -> None:
    for folder in folders:
        files.remove_leftovers(folder)


def _highest(folder: Path) -> int:
    return max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)


def _raise_fence(folder: Path, fence: int) -> None:
    (folder / str(fence)).touch()
    files.sync_folder(folder)
    for path in folder.iterdir():
        if path.name.isdigit() and int(path.name) < fence:
            path.unlink(missing_ok=True)
