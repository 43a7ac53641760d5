"""Unpack tar and zip files of strangers: files, folders and links that stay inside, all of it bounded.

The standard library's own extraction is not used: ``tarfile`` with ``filter="data"`` allowed a hard link
to a symbolic link out of the folder on several Python releases, and ends quietly at a broken header.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from updates.artifacts.archives import streams, tar, zips
from updates.artifacts.archives.extraction import DEFAULT_LIMITS, ArchiveEntry, Extraction, Limits
from updates.artifacts.archives.refusals import HostileArchive

__all__ = [
    "DEFAULT_LIMITS",
    "KINDS",
    "ArchiveEntry",
    "HostileArchive",
    "Limits",
    "kind_of",
    "unpack",
]

ZIP = "zip"
#: How the content of a tar begins, and what reads it, by kind.
_TARS: dict[str, tuple[bytes, streams.Opener]] = {
    "tar.gz": (streams.GZIP_MAGIC, streams.gzip),
    "tar.xz": (streams.XZ_MAGIC, streams.xz),
    "tar.bz2": (streams.BZIP2_MAGIC, streams.bzip2),
    "tar.zst": (streams.ZSTD_MAGIC, streams.zstd),
    "tar": (b"", streams.plain),
}
KINDS = (*_TARS, ZIP)


def kind_of(path: Path) -> str | None:
    """Return what the file's content is, whatever its name says; None for anything else."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ZIP
    for kind, (magic, read) in _TARS.items():
        if head.startswith(magic) and _holds_tar(path, read):
            return kind
    return None


def _holds_tar(path: Path, read: streams.Opener) -> bool:
    with path.open("rb") as file:
        try:
            return tar.looks_like_header(read(file, DEFAULT_LIMITS).read(tar.BLOCK))
        except HostileArchive:
            return False


def unpack(
    path: Path,
    *,
    kind: str,
    into: Path,
    limits: Limits = DEFAULT_LIMITS,
    checkpoint: Callable[[], None] = lambda: None,
) -> list[ArchiveEntry]:
    """Extract the archive into the empty folder ``into`` and return its files with their digests.

    ``checkpoint`` is called between chunks and may raise to stop. Raises HostileArchive, with a text that
    users may read; the caller removes what was
    written until then, and brings the rest to the disk.
    """
    with path.open("rb") as file, Extraction(into, limits, checkpoint) as extraction:
        if kind == ZIP:
            zips.extract(file, extraction, limits)
        else:
            _, read = _TARS[kind]
            tar.extract(read(file, limits), extraction)
        extraction.finish()
        return extraction.entries
