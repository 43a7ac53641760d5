"""Copies of the release that runs, made before it is replaced, each verified when made and when used."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings

from updates.artifacts import archives, files
from updates.artifacts.installers import manifests
from updates.step_context import StepFailed

LOCK = ".lock"
LOCK_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.05


def path_of(service_name: str, version: str) -> Path:
    return settings.SAGA_BACKUPS_DIR / service_name / f"v{version}"


def fault(service_name: str, version: str, checkpoint: Callable[[], None]) -> str | None:
    folder = path_of(service_name, version)
    return manifests.fault(manifests.read(folder / "manifest.json"), folder / "release", checkpoint)


def make(
    release: Path,
    manifest: manifests.Manifest,
    *,
    service_name: str,
    checkpoint: Callable[[], None],
) -> tuple[Path, bool]:
    """Copy what runs; return where to, and whether it still is what was installed."""
    folder = path_of(service_name, manifest.version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(folder.parent / LOCK, is_waited_for=_patience(checkpoint)):
        files.remove_leftovers(folder.parent)
        if fault(service_name, manifest.version, checkpoint) is None:
            return folder, True
        files.remove_tree(folder)
        part = folder.with_name(f".part-{folder.name}")
        try:
            entries = _fill(part, release, manifest, checkpoint)
            files.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder, entries == manifest.entries


def _fill(
    part: Path, release: Path, manifest: manifests.Manifest, checkpoint: Callable[[], None]
) -> tuple[archives.ArchiveEntry, ...]:
    entries = _copy(release, part / "release", manifest, checkpoint)
    if entries != manifest.entries and entries != _as_it_is(release, entries, checkpoint):
        raise StepFailed(f"The backup of {manifest.version} came out unlike what runs.")
    copied = manifests.Manifest(
        version=manifest.version, artifact_sha256=manifest.artifact_sha256, entries=entries
    )
    files.write(part / "manifest.json", copied.to_json())
    return entries


def restore(service_name: str, version: str, into: Path, checkpoint: Callable[[], None]) -> None:
    """Copy a backup to a folder that does not exist yet; raises StepFailed unless it is whole."""
    folder = path_of(service_name, version)
    found = fault(service_name, version, checkpoint)
    manifest = manifests.read(folder / "manifest.json")
    if found or manifest is None:
        raise StepFailed(f"The backup of {version} cannot be used: {found}.")
    _copy(folder / "release", into, manifest, checkpoint)


def manifest_of(service_name: str, version: str) -> manifests.Manifest | None:
    return manifests.read(path_of(service_name, version) / "manifest.json")


def _copy(
    source: Path, to: Path, manifest: manifests.Manifest, checkpoint: Callable[[], None]
) -> tuple[archives.ArchiveEntry, ...]:
    """Copy what the manifest names, files before links, and bring it to the disk."""
    entries = sorted(manifest.entries, key=lambda entry: bool(entry.link))
    paths = [entry.path for entry in entries if _is_there(source / entry.path, entry)]
    to.mkdir(parents=True)
    for path in paths:
        checkpoint()
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, to / path, follow_symlinks=False)
        if not (to / path).is_symlink():
            mode = (source / path).lstat().st_mode
            (to / path).chmod(0o755 if mode & 0o100 else 0o644)
    files.sync_filesystem(to)
    return manifests.describe(to, paths, checkpoint)


def _is_there(path: Path, entry: archives.ArchiveEntry) -> bool:
    """A file in the place of a link, or a link in the place of a file, is none of the release's."""
    return path.is_symlink() if entry.link else path.is_file() and not path.is_symlink()


def _as_it_is(
    release: Path, entries: Iterable[archives.ArchiveEntry], checkpoint: Callable[[], None]
) -> tuple[archives.ArchiveEntry, ...]:
    return manifests.describe(release, [entry.path for entry in entries], checkpoint)


def _patience(checkpoint: Callable[[], None]) -> Callable[[], None]:
    ends_at = time.monotonic() + LOCK_TIMEOUT_SECONDS

    def wait() -> None:
        checkpoint()
        if time.monotonic() > ends_at:
            raise StepFailed("Another process has held the lock of the backups for too long.")
        time.sleep(POLL_SECONDS)

    return wait
