"""Write files and folders below one folder, never through a link, never over anything, within limits."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from updates.artifacts.archives import names
from updates.artifacts.archives.refusals import HostileArchive

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Limits:
    entries: int = 20_000
    total_bytes: int = 2 * GIB
    ratio: int = 200
    ratio_from_bytes: int = 4 * 2**20


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One regular file: its path below the folder with ``/``, size, mode and SHA-256 in hexadecimal."""

    path: str
    size: int
    mode: int
    sha256: str


class Extraction:
    def __init__(self, into: Path, limits: Limits, checkpoint: Callable[[], None]) -> None:
        self.entries: list[Entry] = []
        self._into = into
        self.limits = limits
        self._checkpoint = checkpoint
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._files: set[tuple[str, ...]] = set()
        self._count = 0
        self._bytes = 0

    def __enter__(self) -> Extraction:
        self._root = os.open(self._into, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._root)

    def add_folder(self, name: str) -> None:
        self._count_entry(name)
        parts = names.split(name)
        self._remember(parts, name)
        if parts in self._files:
            raise HostileArchive("folder in the place of a file", name)
        os.close(self._open_folder(parts, name))

    def add_file(self, name: str, mode: int, chunks: Iterable[bytes]) -> None:
        """Modes become 0644, or 0755 where the owner may execute."""
        self._count_entry(name)
        parts = names.split(name)
        if not parts or name.endswith("/"):
            raise HostileArchive("file in the place of a folder", name)
        if parts in self._files:
            raise HostileArchive("name used twice", name)
        self._remember(parts, name)
        self._files.add(parts)
        kept_mode = 0o755 if mode & stat.S_IXUSR else 0o644
        folder = self._open_folder(parts[:-1], name)
        try:
            self._write(folder, parts, kept_mode, chunks, name)
        finally:
            os.close(folder)

    def _count_entry(self, name: str) -> None:
        self._count += 1
        if self._count > self.limits.entries:
            raise HostileArchive(f"more than {self.limits.entries} entries", name)

    def _remember(self, parts: tuple[str, ...], name: str) -> None:
        for length in range(1, len(parts) + 1):
            spelled = parts[:length]
            key = tuple(names.folded(part) for part in spelled)
            if self._known.setdefault(key, spelled) != spelled:
                raise HostileArchive("two names that differ in case or accents only", name)
            if length < len(parts) and spelled in self._files:
                raise HostileArchive("folder in the place of a file", name)

    def _open_folder(self, parts: tuple[str, ...], name: str) -> int:
        folder = os.dup(self._root)
        for part in parts:
            try:
                os.mkdir(part, 0o755, dir_fd=folder)
            except FileExistsError:
                pass
            except OSError:
                os.close(folder)
                raise
            parent = folder
            try:
                folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            except NotADirectoryError:
                raise HostileArchive("folder in the place of a file", name) from None
            finally:
                os.close(parent)
        return folder

    def _write(
        self, folder: int, parts: tuple[str, ...], mode: int, chunks: Iterable[bytes], name: str
    ) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open(parts[-1], flags, 0o600, dir_fd=folder)
        except FileExistsError:
            raise HostileArchive("file in the place of a folder", name) from None
        digest = hashlib.sha256()
        size = 0
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                self._checkpoint()
                self._count_bytes(len(chunk), name)
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(
            Entry(path="/".join(parts), size=size, mode=mode, sha256=digest.hexdigest())
        )

    def _count_bytes(self, size: int, name: str) -> None:
        self._bytes += size
        if self._bytes > self.limits.total_bytes:
            raise HostileArchive(f"more than {self.limits.total_bytes} bytes unpacked", name)
