"""Write files and folders below one folder, never through a link, never over anything, within limits.

Symbolic links are made last, once all of them are known: while files are written, no link is there.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from updates.artifacts.archives import links, names
from updates.artifacts.archives.refusals import HostileArchive

GIB = 2**30
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    entries: int = 200_000
    total_bytes: int = 10 * GIB
    ratio: int = 200
    ratio_from_bytes: int = 100 * MIB


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One file: its path below the folder with ``/``, size, mode and SHA-256 in hexadecimal.

    A symbolic link has the path that it holds in ``link``, and neither size nor digest.
    """

    path: str
    size: int
    mode: int
    sha256: str
    link: str = ""


class Extraction:
    def __init__(self, into: Path, limits: Limits, checkpoint: Callable[[], None]) -> None:
        self.entries: list[ArchiveEntry] = []
        self._into = into
        self.limits = limits
        self._checkpoint = checkpoint
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._files: dict[tuple[str, ...], ArchiveEntry] = {}
        self._links: dict[tuple[str, ...], str] = {}
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
        if parts in self._files or parts in self._links:
            raise HostileArchive("folder in the place of a file", name)
        os.close(self._open_folder(parts, name))

    def add_file(self, name: str, mode: int, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file of the declared size; modes become 0644, or 0755 where the owner may execute."""
        parts = self._new_name(name)
        if self._bytes + size > self.limits.total_bytes:
            raise self._too_large(name)
        kept_mode = 0o755 if mode & stat.S_IXUSR else 0o644
        folder = self._open_folder(parts[:-1], name)
        try:
            entry = self._write(folder, parts, kept_mode, chunks, name)
        finally:
            os.close(folder)
        self._files[parts] = entry
        self.entries.append(entry)

    def add_hard_link(self, name: str, target: str) -> None:
        """Give a file that the archive held before a second name."""
        parts = self._new_name(name)
        known = self._files.get(names.split(target))
        if known is None:
            raise HostileArchive("hard link to no file of the archive", name)
        # A backup copies the content once for each name.
        self._count_bytes(known.size, name)
        source_parts = names.split(target)
        source, folder = self._open_folder(source_parts[:-1], name), -1
        try:
            folder = self._open_folder(parts[:-1], name)
            os.link(
                source_parts[-1],
                parts[-1],
                src_dir_fd=source,
                dst_dir_fd=folder,
                follow_symlinks=False,
            )
        except FileExistsError:
            raise HostileArchive("file in the place of a folder", name) from None
        finally:
            os.close(source)
            if folder >= 0:
                os.close(folder)
        entry = replace(known, path="/".join(parts))
        self._files[parts] = entry
        self.entries.append(entry)

    def add_symbolic_link(self, name: str, target: str) -> None:
        """Note a link; ``finish`` makes it, if it stays inside."""
        parts = self._new_name(name)
        links.check_target(name, target)
        os.close(self._open_folder(parts[:-1], name))
        self._links[parts] = target

    def finish(self) -> None:
        """Make the symbolic links, once each of them is known to stay inside."""
        folded = {names.fold(parts): target for parts, target in self._links.items()}
        for parts in self._links:
            self._checkpoint()
            links.check(parts, folded)
        for parts, target in self._links.items():
            name = "/".join(parts)
            folder = self._open_folder(parts[:-1], name)
            try:
                os.symlink(target, parts[-1], dir_fd=folder)
            except FileExistsError:
                raise HostileArchive("name used twice", name) from None
            finally:
                os.close(folder)
            self.entries.append(ArchiveEntry(path=name, size=0, mode=0o777, sha256="", link=target))

    def _new_name(self, name: str) -> tuple[str, ...]:
        """Return the parts of a name that nothing has yet."""
        self._count_entry(name)
        parts = names.split(name)
        if not parts or name.endswith("/"):
            raise HostileArchive("file in the place of a folder", name)
        if parts in self._files or parts in self._links:
            raise HostileArchive("name used twice", name)
        if self._known.get(names.fold(parts)) == parts:
            raise HostileArchive("file in the place of a folder", name)
        self._remember(parts, name)
        return parts

    def _count_entry(self, name: str) -> None:
        self._count += 1
        if self._count > self.limits.entries:
            raise HostileArchive(f"more than {self.limits.entries} entries", name)

    def _remember(self, parts: tuple[str, ...], name: str) -> None:
        for length in range(1, len(parts) + 1):
            spelled = parts[:length]
            key = names.fold(spelled)
            if self._known.setdefault(key, spelled) != spelled:
                raise HostileArchive("two names that differ in case or accents only", name)
            if length < len(parts) and spelled in self._files:
                raise HostileArchive("folder in the place of a file", name)
            if length < len(parts) and spelled in self._links:
                raise HostileArchive("path through a symbolic link", name)

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
    ) -> ArchiveEntry:
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
        return ArchiveEntry(path="/".join(parts), size=size, mode=mode, sha256=digest.hexdigest())

    def _count_bytes(self, size: int, name: str) -> None:
        self._bytes += size
        if self._bytes > self.limits.total_bytes:
            raise self._too_large(name)

    def _too_large(self, name: str) -> HostileArchive:
        return HostileArchive(f"more than {self.limits.total_bytes} bytes unpacked", name)
