"""Manifests list a release's files, so that it can be verified later."""

from __future__ import annotations

import dataclasses
import json
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from updates.artifacts import archives, files

FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """``artifact_sha256`` is empty where the files came from elsewhere (a backup of them, say)."""

    version: str
    artifact_sha256: str
    entries: tuple[archives.ArchiveEntry, ...]

    def to_json(self) -> bytes:
        document = {
            "format": FORMAT,
            "version": self.version,
            "artifact_sha256": self.artifact_sha256,
            "files": [dataclasses.asdict(entry) for entry in self.entries],
        }
        return json.dumps(document, indent=1).encode()


def read(path: Path) -> Manifest | None:
    """Return the manifest; None if there is none, or none that can be read."""
    try:
        document = json.loads(path.read_bytes())
        return Manifest(
            version=document["version"],
            artifact_sha256=document["artifact_sha256"],
            entries=tuple(archives.ArchiveEntry(**entry) for entry in document["files"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe(
    folder: Path, paths: Iterable[str], checkpoint: Callable[[], None]
) -> tuple[archives.ArchiveEntry, ...]:
    """Return the entries of files as they are now."""
    return tuple(_entry(folder, path, checkpoint) for path in paths)


def _entry(folder: Path, path: str, checkpoint: Callable[[], None]) -> archives.ArchiveEntry:
    status = (folder / path).lstat()
    if stat.S_ISLNK(status.st_mode):
        link = str((folder / path).readlink())
        return archives.ArchiveEntry(path=path, size=0, mode=0o777, sha256="", link=link)
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    digest = files.sha256(folder / path, checkpoint)
    return archives.ArchiveEntry(path=path, size=status.st_size, mode=mode, sha256=digest)


def fault(manifest: Manifest | None, folder: Path, checkpoint: Callable[[], None]) -> str | None:
    """Return what is wrong with a release on disk, None if each of its files is there unchanged."""
    if manifest is None:
        return "it has no manifest"
    if not folder.is_dir():
        return "its folder is missing"
    for entry in manifest.entries:
        path = folder / entry.path
        if entry.link:
            if not path.is_symlink() or str(path.readlink()) != entry.link:
                return f"the link {entry.path} is missing or was changed"
            continue
        if path.is_symlink() or not path.is_file():
            return f"{entry.path} is missing"
        if path.stat().st_size != entry.size or files.sha256(path, checkpoint) != entry.sha256:
            return f"{entry.path} was changed"
    return None
