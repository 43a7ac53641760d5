"""Install into a folder: ``releases/<version>`` complete or absent, ``current`` flipped by a rename.

Each step looks first, then does: it may run twice, and may have been killed at any line before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from updates import archives, artifacts, files, statements
from updates.installers import backups, manifests
from updates.installers.root import Root, open_root
from updates.work import Outcome, StepFailed, Work

ARCHIVE_SUFFIXES = {
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.xz": "tar.xz",
    ".txz": "tar.xz",
    ".zip": "zip",
}
#: Zip files by their content, programs or packages by their use: they are installed as they come.
WHOLE_SUFFIXES = (".jar", ".war", ".ear", ".whl", ".apk", ".nupkg", ".vsix", ".pyz", ".pex", ".xpi")


@contextmanager
def _root(work: Work) -> Iterator[Root]:
    with open_root(
        work.root,
        fence=work.fence,
        timeout_seconds=work.deadline_seconds,
        checkpoint=work.checkpoint,
    ) as root:
        yield root


# --- Before anything is touched --------------------------------------------------------------------


def fetch(work: Work) -> Outcome:
    if work.artifact_type == "image":
        raise StepFailed("A directory target cannot install an image; give it an image installer.")
    with _root(work) as root:
        if found := _installed_already(work, root):
            return found
    if found := _stored_already(work):
        return found
    if not work.artifact_url:
        return _from_backup(work)
    artifact = artifacts.fetch_to_store(
        work.artifact_url,
        deadline_seconds=work.deadline_seconds,
        checkpoint=work.checkpoint,
        report=work.report,
    )
    if work.artifact_sha256 and artifact.sha256 != work.artifact_sha256:
        artifact.path.unlink(missing_ok=True)
        raise StepFailed(
            f"The URL gave two different artifacts: first sha256:{work.artifact_sha256}, now"
            f" sha256:{artifact.sha256}."
        )
    return _fetched(artifact, f"Fetched {artifact.size:,} bytes.")


def _installed_already(work: Work, root: Root) -> Outcome | None:
    """A rollback takes what is on disk; a deployment only what it knows to be the same artifact."""
    manifest = manifests.read(root.manifest(work.version))
    if manifest is None:
        return None
    expected = work.artifact_sha256 or _announced_sha256(work)
    if work.kind == "deploy" and (not expected or manifest.artifact_sha256 != expected):
        return None
    if work.is_signature_required or manifests.fault(
        manifest, root.release(work.version), work.checkpoint
    ):
        return None
    result = {"sha256": manifest.artifact_sha256, "is_on_disk": True}
    return Outcome(message=f"Release {work.version} is on disk, complete.", result=result)


def _announced_sha256(work: Work) -> str:
    bare = work.checksum.lower().removeprefix("sha256:")
    return bare if len(bare) == 64 else ""


def _stored_already(work: Work) -> Outcome | None:
    artifact = artifacts.find(work.artifact_sha256 or _announced_sha256(work))
    return _fetched(artifact, "The artifact is in the store already.") if artifact else None


def _fetched(artifact: artifacts.Artifact, message: str) -> Outcome:
    result = {"sha256": artifact.sha256, "size": artifact.size}
    return Outcome(message=message, result=result)


def _from_backup(work: Work) -> Outcome:
    fault = backups.fault(work.service_name, work.version, work.checkpoint)
    if fault:
        raise StepFailed(
            f"Release {work.version} is neither on disk nor at a known URL, and its backup cannot be"
            f" used: {fault}."
        )
    with _root(work) as root:
        _put_backup(work, root, work.version)
    return Outcome(message="Restored from its backup.", result={"sha256": "", "is_on_disk": True})


def verify(work: Work) -> Outcome:
    """Hold what was fetched against the announced digest, and against the signature where one is due."""
    with _root(work) as root:
        if _installed_already(work, root) or (work.kind == "rollback" and not work.artifact_sha256):
            return Outcome(message="Each file of the release on disk is as its manifest says.")
    artifact = _artifact(work)
    message = artifacts.verify(artifact, checksum=work.checksum, checkpoint=work.checkpoint)
    if work.is_signature_required:
        message += " " + statements.verify(work, artifact)
    files.share(artifact.path, artifacts.named_path(work.service_name, work.version))
    return Outcome(message=message)


def _artifact(work: Work) -> artifacts.Artifact:
    path = artifacts.content_path(work.artifact_sha256)
    if not work.artifact_sha256 or not path.is_file():
        raise StepFailed("The fetched artifact is no longer in the store; retry the deployment.")
    return artifacts.Artifact(path=path, sha256=work.artifact_sha256, size=path.stat().st_size)


def unpack(work: Work) -> Outcome:
    with _root(work) as root:
        if _installed_already(work, root) or (work.kind == "rollback" and not work.artifact_sha256):
            return Outcome(message="The release is on disk already.", is_skipped=True)
        _make_room(work, root)
        artifact = _artifact(work)
        if files.sha256(artifact.path, work.checkpoint) != artifact.sha256:
            raise StepFailed("The artifact changed on disk after it was verified.")
        return _unpack(work, root, artifact)


def _make_room(work: Work, root: Root) -> None:
    """A version's content never changes while it runs; a release that is not current may be made anew."""
    manifest = manifests.read(root.manifest(work.version))
    if root.current != work.version or not root.release(work.version).exists():
        root.check_fence()
        files.remove_tree(root.release(work.version))
        return
    if manifest is not None and manifest.artifact_sha256 == work.artifact_sha256:
        raise StepFailed(
            f"Release {work.version} runs, but its files were changed in place; deploy another version."
        )
    raise StepFailed(
        f"Release {work.version} runs already with another content; publish a new version instead."
    )


def _unpack(work: Work, root: Root, artifact: artifacts.Artifact) -> Outcome:
    part = root.path / "releases" / f".part-{work.fence}"
    part.mkdir()
    try:
        entries = _put_files(work, artifact, part)
        manifest = manifests.Manifest(
            version=work.version, artifact_sha256=artifact.sha256, entries=tuple(entries)
        )
        root.check_fence()
        files.write(root.manifest(work.version), manifest.to_json())
        files.rename(part, root.release(work.version))
    except archives.HostileArchive as exc:
        raise StepFailed(str(exc)) from exc
    except OSError as exc:
        raise StepFailed(
            f"The release could not be unpacked: {artifacts.disk_words(exc)}."
        ) from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(entry.size for entry in entries)
    return Outcome(message=f"Unpacked {len(entries):,} files, {size:,} bytes.")


def _put_files(work: Work, artifact: artifacts.Artifact, part: Path) -> list[archives.Entry]:
    kind = _archive_kind(work, artifact.path)
    if kind is None:
        return [_put_single_file(work, artifact.path, part)]
    return archives.unpack(artifact.path, kind=kind, into=part, checkpoint=work.checkpoint)


def file_name(work: Work) -> str:
    name = PurePosixPath(unquote(urlsplit(work.artifact_url).path)).name
    is_plain = name.isprintable() and not name.startswith(".") and len(name.encode()) < 256
    return name if name and is_plain else work.service_name


def _archive_kind(work: Work, path: Path) -> str | None:
    """The content decides; where the name or the request promises an archive, it must be that one."""
    name = file_name(work).lower()
    if work.artifact_type == "binary" and name.endswith(WHOLE_SUFFIXES):
        return None
    found = archives.kind_of(path)
    promised = next((kind for end, kind in ARCHIVE_SUFFIXES.items() if name.endswith(end)), None)
    if promised and found != promised:
        raise StepFailed(f"The artifact is not the {promised} that its name promises.")
    if work.artifact_type == "archive" and found is None:
        raise StepFailed(
            "The artifact is no tar.gz, tar.xz or zip, although it is called an archive."
        )
    return found


def _put_single_file(work: Work, source: Path, part: Path) -> archives.Entry:
    path = part / file_name(work)
    shutil.copyfile(source, path)
    path.chmod(0o755)
    with path.open("rb+") as file:
        files.sync(file)
    return manifests.describe(part, [path.name], work.checkpoint)[0]


def back_up(work: Work) -> Outcome:
    """Copy what runs, and record it: from here on we know where to go back to."""
    with _root(work) as root:
        previous = root.current
        if previous == work.version:
            return Outcome(
                message=f"{previous} runs already.", result={"previous": previous}, is_skipped=True
            )
        if previous is None:
            return Outcome(
                message="Nothing runs here yet.", result={"previous": None}, is_skipped=True
            )
        return _back_up(work, root, previous)


def _back_up(work: Work, root: Root, previous: str) -> Outcome:
    manifest = manifests.read(root.manifest(previous))
    if manifest is None:
        raise StepFailed(f"The release that runs, {previous}, has no manifest in {root.path}.")
    try:
        folder, is_unchanged = backups.make(
            root.release(previous),
            manifest,
            service_name=work.service_name,
            checkpoint=work.checkpoint,
        )
    except OSError as exc:
        raise StepFailed(
            f"{previous} could not be backed up: {artifacts.disk_words(exc)}."
        ) from exc
    message = f"Backed up {previous}."
    if not is_unchanged:
        message += (
            " Some of its files had been changed in place; the backup has them as they are now."
        )
    return Outcome(message=message, result={"previous": previous, "backup_path": str(folder)})


# --- The change, and the way back ------------------------------------------------------------------


def switch(work: Work) -> Outcome:
    with _root(work) as root:
        if root.current == work.version:
            return Outcome(message=f"{work.version} is current.")
        if not root.release(work.version).is_dir():
            raise StepFailed(f"Release {work.version} is not on disk.")
        _flip(root, work.version)
    return Outcome(message=f"{work.version} is current now.")


def _flip(root: Root, version: str) -> None:
    root.check_fence()
    files.point(root.path / "current", f"releases/{version}")


def restore(work: Work) -> Outcome:
    """Go back to the release that was recorded before the switch, on disk or from its backup."""
    with _root(work) as root:
        if work.previous is None:
            root.check_fence()
            (root.path / "current").unlink(missing_ok=True)
            return Outcome(message="Nothing ran here before; there is no current release again.")
        if root.current == work.previous:
            return Outcome(message=f"{work.previous} is current.")
        manifest = manifests.read(root.manifest(work.previous))
        fault = manifests.fault(manifest, root.release(work.previous), work.checkpoint)
        message = f"{work.previous} is current again."
        if fault:
            _put_backup(work, root, work.previous)
            message += f" It was restored from its backup, because on disk {fault}."
        _flip(root, work.previous)
    return Outcome(message=message)


def _put_backup(work: Work, root: Root, version: str) -> None:
    part = root.path / "releases" / f".part-{work.fence}"
    try:
        backups.restore(work.service_name, version, part, work.checkpoint)
        manifest = backups.manifest_of(work.service_name, version)
        if manifest is None:
            raise StepFailed(f"The backup of {version} lost its manifest.")
        root.check_fence()
        files.remove_tree(root.release(version))
        files.write(root.manifest(version), manifest.to_json())
        files.rename(part, root.release(version))
    except OSError as exc:
        raise StepFailed(
            f"The backup of {version} could not be restored: {artifacts.disk_words(exc)}."
        ) from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)


def clean_up(work: Work) -> Outcome:
    """Remove what is older than the newest kept ones; what runs and what ran before always stay."""
    with _root(work) as root:
        kept = {root.current, work.version, work.previous}
        folders = sorted(
            (path for path in (root.path / "releases").iterdir() if not path.name.startswith(".")),
            key=lambda path: path.stat().st_mtime,
            reverse=True,
        )
        spare = max(0, work.target.keep_releases - len(kept - {None}))
        others = [folder for folder in folders if folder.name not in kept]
        for folder in others[spare:]:
            root.check_fence()
            files.remove_tree(folder)
            root.manifest(folder.name).unlink(missing_ok=True)
    removed = [folder.name for folder in others[spare:]]
    _forget(work, {folder.name for folder in others[:spare]} | {name for name in kept if name})
    artifacts.forget_unnamed()
    return Outcome(message=f"Removed {', '.join(removed)}." if removed else "Nothing to remove.")


def _forget(work: Work, kept: set[str]) -> None:
    """Backups and artifacts of releases that are gone from here go too, but never the newest ones."""
    for folder in (
        artifacts.named_path(work.service_name, work.version).parent,
        backups.path_of(work.service_name, work.version).parent,
    ):
        if not folder.is_dir():
            continue
        paths = sorted(
            (path for path in folder.glob("v*") if path.name[1:] not in kept),
            key=lambda path: path.lstat().st_mtime,
            reverse=True,
        )
        for path in paths[work.target.keep_releases :]:
            if path.is_dir():
                files.remove_tree(path)
            else:
                path.unlink(missing_ok=True)


STEPS: dict[str, Callable[[Work], Outcome]] = {
    "fetch": fetch,
    "verify": verify,
    "unpack": unpack,
    "back up": back_up,
    "switch": switch,
    "restore": restore,
    "clean up": clean_up,
}
