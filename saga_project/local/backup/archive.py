"""The file of a backup: a gzipped tar, whose last member holds the digests of the others."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

FORMAT = 1
MANIFEST = "manifest.json"
CHUNK = 1024 * 1024


class BackupFailed(Exception):
    """The backup cannot be written or restored; the text says why and what to do."""


@dataclass(frozen=True)
class Contents:
    """What a backup holds: tables with their rows, migrations by app, artifacts by their path."""

    saga_version: str
    created_at: str
    migrations: dict[str, list[str]]
    tables: dict[str, list[str]]
    artifacts: list[str]
    rows: int


@dataclass
class Writer:
    """Adds members to a new backup; the file appears under its name when it is whole."""

    tar: tarfile.TarFile
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, source: IO[bytes]) -> None:
        """Add everything in ``source``, from its beginning."""
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        reader = _Hashing(source)
        self.tar.addfile(_member(name, size), reader)
        self.digests[name] = reader.digest.hexdigest()

    def add_text(self, name: str, text: str) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            self.add(name, file)


class _Hashing:
    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a backup beside ``path``, readable by its owner only, and rename it at the end."""
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    try:
        with draft.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
                yield Writer(tar)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def finish(writer: Writer, contents: Contents) -> None:
    """Add the manifest: what the backup holds, and the digest of each member."""
    document = {"format": FORMAT, "digests": writer.digests, **contents.__dict__}
    writer.add_text(MANIFEST, json.dumps(document, indent=1))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[tarfile.TarFile, Contents]]:
    """Open a backup whose every member has the digest that its manifest says; raises BackupFailed."""
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            digests = {member.name: _digest(tar, member) for member in tar}
            manifest = _read_manifest(tar)
            if manifest.pop("format") != FORMAT:
                raise BackupFailed(
                    f"{path} was written by a newer Saga; install that version first."
                )
            _compare(path, manifest.pop("digests"), digests)
            yield tar, Contents(**manifest)
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError, TypeError) as exc:
        raise BackupFailed(f"{path} cannot be read as a backup: {exc}") from exc


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    source = tar.extractfile(member)
    if source is None:
        raise ValueError(f"{member.name} is no file")
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _read_manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    source = tar.extractfile(MANIFEST)
    document: dict[str, Any] = json.loads(source.read() if source else b"")
    return document


def _compare(path: Path, expected: dict[str, str], found: dict[str, str]) -> None:
    wrong = {name for name, digest in expected.items() if found.get(name) != digest}
    wrong |= set(found) - set(expected) - {MANIFEST}
    if wrong:
        raise BackupFailed(
            f"{path} is damaged: {', '.join(sorted(wrong)[:5])} differ. Use another."
        )
