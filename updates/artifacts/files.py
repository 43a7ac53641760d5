"""Changes on disk that are there completely or not at all, also after the power failed."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

CHUNK = 1024 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


def _part_name(path: Path) -> str:
    """Workers are processes, and threads in one."""
    return f".part-{threading.get_native_id()}-{path.name}"


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_filesystem(folder: Path) -> None:
    """Bring everything below a folder to the disk at once: thousands of fsync calls take minutes."""
    if not hasattr(_libc, "syncfs"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def rename(source: Path, to: Path) -> None:
    source.rename(to)
    sync_folder(to.parent)


def write(
    path: Path,
    data: bytes,
    *,
    guard: Callable[[], None] = lambda: None,
    mode: int | None = None,
) -> None:
    """Put the whole file in place of what was there; ``guard`` may raise right before."""
    part = path.with_name(_part_name(path))
    with part.open("wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(data)
        sync(file)
    _replace(part, path, guard)


def point(link: Path, to: str, *, guard: Callable[[], None]) -> None:
    """Make ``link`` a symbolic link to ``to``. There is no moment without one: replaced, never unlinked."""
    part = link.with_name(_part_name(link))
    part.unlink(missing_ok=True)
    part.symlink_to(to)
    _replace(part, link, guard)


def _replace(part: Path, to: Path, guard: Callable[[], None]) -> None:
    try:
        guard()
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(to.parent)


def share(source: Path, name: Path) -> None:
    """Give a file a second name, in place of what had that name."""
    name.parent.mkdir(parents=True, exist_ok=True)
    part = name.with_name(_part_name(name))
    part.unlink(missing_ok=True)
    os.link(source, part)
    part.replace(name)
    # Renaming a name over another of the same file does nothing, and leaves the first.
    part.unlink(missing_ok=True)
    sync_folder(name.parent)


def sha256(path: Path, checkpoint: Callable[[], None] = lambda: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            checkpoint()
            digest.update(chunk)
    return digest.hexdigest()


def remove_tree(folder: Path) -> None:
    """Rename a folder before removing it, so that no reader finds half of it."""
    if not folder.exists():
        return
    trash = folder.with_name(f".trash-{threading.get_native_id()}-{folder.name}")
    shutil.rmtree(trash, ignore_errors=True)
    folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed or fenced-off workers left, or workers that wait for the held lock."""
    for path in [*folder.glob(".part-*"), *folder.glob(".trash-*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, is_waited_for: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; while another process holds it, call ``is_waited_for``, which may raise."""
    with path.open("ab") as file:
        while not _try_lock(file.fileno()):
            is_waited_for()
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
