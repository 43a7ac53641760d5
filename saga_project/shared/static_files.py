"""Static files under names with their digest, compressed once: browsers keep them for a year.

``collect`` writes them into the data directory, and does so anew where a package or a file changed.
Without it, such as in tests, plain names lead to where the packages keep their files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import brotli
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.files.storage import Storage
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

CURRENT = "current"
#: What no page of Saga asks for.
LEFT_OUT = ["*.map", "*/redoc/*", "rest_framework/*", "*.md", "*LICENSE*"]
#: A tenth larger than of the highest quality, in a tenth of the time: the first start waits for it.
BROTLI_QUALITY = 5
#: Web processes of the release before go on with theirs.
KEPT = 2


def folder() -> Path:
    """Return the folder of collected files, which may not exist; another one for each content."""
    link: Path = settings.SAGA_DATA_DIR / "static" / CURRENT
    return link.resolve()


class FastCompressor(Compressor):  # type: ignore[misc]
    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=BROTLI_QUALITY))


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names with a digest where files were collected, plain names else."""

    manifest_strict = False
    #: Source maps are not collected, so that no name of one is changed.
    patterns = tuple(
        (kind, tuple(each for each in found if "sourceMappingURL" not in str(each)))
        for kind, found in CompressedManifestStaticFilesStorage.patterns
    )

    def __init__(self, location: Path | None = None, **options: Any) -> None:
        super().__init__(location=location or folder(), **options)

    def stored_name(self, name: str) -> str:
        found: str = self.hashed_files.get(self.hash_key(self.clean_name(name)), name)
        return found

    def create_compressor(self, **options: Any) -> Compressor:
        return FastCompressor(**options)


def collect() -> bool:
    """Collect the static files where they are not yet; return whether that was necessary."""
    found = _found()
    name = _digest(found)
    root: Path = settings.SAGA_DATA_DIR / "static"
    if (root / name).is_dir():
        _lead_to(root, name)
        return False
    draft = root / f".{name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _write(draft, found)
        draft.rename(root / name)
    except OSError:
        if not (root / name).is_dir():  # another process was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _lead_to(root, name)
    _forget_old(root)
    return True


def _found() -> dict[str, tuple[Storage, str]]:
    """Return the storage and path of each file by its name; of several the first counts."""
    found: dict[str, tuple[Storage, str]] = {}
    for finder in finders.get_finders():
        for path, storage in finder.list(LEFT_OUT):
            found.setdefault(path.replace("\\", "/"), (storage, path))
    return found


def _digest(found: dict[str, tuple[Storage, str]]) -> str:
    """Return a text that is another one once a file is another one."""
    digest = hashlib.sha256()
    for name, (storage, path) in sorted(found.items()):
        status = Path(storage.path(path)).stat()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _write(draft: Path, found: dict[str, tuple[Storage, str]]) -> None:
    storage = HashedStaticFiles(draft)
    for name, (source, path) in found.items():
        with source.open(path) as file:
            storage.save(name, file)
    for _name, _hashed, outcome in storage.post_process(
        {name: (storage, name) for name in found}, dry_run=False
    ):
        if isinstance(outcome, Exception):
            raise outcome


def _lead_to(root: Path, name: str) -> None:
    link = root / CURRENT
    if link.is_symlink() and str(link.readlink()) == name:
        return
    draft = root / f".{CURRENT}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(name)
    draft.rename(link)


def _forget_old(root: Path) -> None:
    folders = [each for each in root.iterdir() if each.is_dir() and not each.is_symlink()]
    whole = [each for each in folders if not each.name.startswith(".")]
    for old in sorted(whole, key=lambda each: each.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
