"""Unpack tar.gz, tar.xz and zip files of strangers: regular files and folders only, all of it bounded.

The standard library's own extraction is not used: ``tarfile`` with ``filter="data"`` let a hard link
to a symbolic link out of the folder on several Python releases, and ends quietly at a broken header.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from updates.artifacts.archives import streams, tar, zips
from updates.artifacts.archives.extraction import DEFAULT_LIMITS, Entry, Extraction, Limits
from updates.artifacts.archives.refusals import HostileArchive

__all__ = ["DEFAULT_LIMITS", "Entry", "HostileArchive", "Limits", "kind_of", "unpack"]

TAR_GZ = "tar.gz"
TAR_XZ = "tar.xz"
ZIP = "zip"


def kind_of(path: Path) -> str | None:
    """Return what the file's content is, whatever its name says; None for anything else."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ZIP
    if head.startswith(streams.GZIP_MAGIC) and _holds_tar(path, streams.gzip):
        return TAR_GZ
    if head.startswith(streams.XZ_MAGIC) and _holds_tar(path, streams.xz):
        return TAR_XZ
    return None


def _holds_tar(path: Path, inflate: streams.Opener) -> bool:
    with path.open("rb") as file:
        try:
            return tar.looks_like_header(inflate(file, DEFAULT_LIMITS).read(tar.BLOCK))
        except HostileArchive:
            return False


def unpack(
    path: Path,
    *,
    kind: str,
    into: Path,
    limits: Limits = DEFAULT_LIMITS,
    checkpoint: Callable[[], None] = lambda: None,
) -> list[Entry]:
    """Extract the archive into the empty folder ``into`` and return its files with their digests.

    ``checkpoint`` is called between chunks and may raise to stop. Raises HostileArchive, with a text that
    users may read; the caller removes what was written until then.
    """
    with path.open("rb") as file, Extraction(into, limits, checkpoint) as extraction:
        if kind == ZIP:
            zips.extract(file, extraction, limits)
        elif kind == TAR_GZ:
            tar.extract(streams.gzip(file, limits), extraction)
        else:
            tar.extract(streams.xz(file, limits), extraction)
        return extraction.entries
