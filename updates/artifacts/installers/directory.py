"""Install into a folder: ``releases/<version>`` complete or absent, ``current`` flipped by a rename.

Each step looks first, then does: it may run twice, and may have been killed at any line before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from updates.artifacts import archives, files, store
from updates.artifacts.installers import backups, builds, manifests, retention, staging, unpacking
from updates.artifacts.installers.hooks import Hook
from updates.artifacts.installers.root import Root, open_root
from updates.models import Job
from updates.step_context import Outcome, StepContext, StepFailed


@contextmanager
def _root(context: StepContext) -> Iterator[Root]:
    with open_root(
        context.root,
        fence=context.fence,
        timeout_seconds=context.deadline_seconds,
        checkpoint=context.checkpoint,
    ) as root:
        yield root


# --- Before anything is touched --------------------------------------------------------------------


def fetch(context: StepContext) -> Outcome:
    if context.artifact_type == "image":
        raise StepFailed("A directory target cannot install an image; give it an image installer.")
    with _root(context) as root:
        if found := _installed_already(context, root):
            return found
    if context.kind == Job.Kind.ROLLBACK and (restored := _from_backup(context)):
        return restored
    if not context.artifact_url:
        raise StepFailed(
            f"Release {context.version} is neither on disk nor at a known URL, and no backup of it is whole."
        )
    return staging.fetch(context)


def _installed_already(context: StepContext, root: Root) -> Outcome | None:
    """A rollback takes what is on disk; a deployment only what it knows to be the same artifact."""
    manifest = manifests.read(root.manifest(context.version))
    if manifest is None:
        return None
    if context.kind == Job.Kind.DEPLOY and not _is_the_announced_one(context, manifest):
        return None
    if manifests.fault(manifest, root.release(context.version), context.checkpoint):
        return None
    result = {"sha256": manifest.artifact_sha256, "is_on_disk": True}
    return Outcome(message=f"Release {context.version} is on disk, complete.", result=result)


def _is_the_announced_one(context: StepContext, manifest: manifests.Manifest) -> bool:
    """A signature is over the artifact, which must be at hand to be held against it."""
    expected = context.artifact_sha256 or staging.announced_sha256(context)
    is_same = bool(expected) and manifest.artifact_sha256 == expected
    return is_same and not context.is_signature_required


def _from_backup(context: StepContext) -> Outcome | None:
    """Put the backup of a release that is no longer on disk there again, None where that is not whole."""
    if backups.fault(context.service_name, context.version, context.checkpoint):
        return None
    with _root(context) as root:
        _make_room(context, root)
        _put_backup(context, root, context.version)
    return Outcome(message="Restored from its backup.", result={"sha256": "", "is_on_disk": True})


def verify(context: StepContext) -> Outcome:
    """Verify the fetched file against the announced digest and, if required, the signature."""
    with _root(context) as root:
        if _installed_already(context, root):
            return Outcome(message="Each file of the release on disk is as its manifest says.")
    return staging.verify(context)


def unpack(context: StepContext) -> Outcome:
    with _root(context) as root:
        if _installed_already(context, root):
            return Outcome(message="The release is on disk already.", is_skipped=True)
        _make_room(context, root)
        artifact = staging.artifact_of(context)
        if files.sha256(artifact.path, context.checkpoint) != artifact.sha256:
            raise StepFailed("The artifact changed on disk after it was verified.")
        return _unpack(context, root, artifact)


def after_unpack(context: StepContext) -> Outcome:
    """Prepare the release with the target's hook: a virtual environment, or ``npm ci``."""
    with _root(context) as root:
        return builds.prepare(context, root)


def _make_room(context: StepContext, root: Root) -> None:
    """A version's content never changes while it runs; a release that is not current may be made anew."""
    manifest = manifests.read(root.manifest(context.version))
    if root.current != context.version or not root.release(context.version).exists():
        root.check_fence()
        builds.forget(root, context.version)
        files.remove_tree(root.release(context.version))
        return
    if manifest is not None and manifest.artifact_sha256 == context.artifact_sha256:
        raise StepFailed(
            f"Release {context.version} runs, but its files were changed in place; deploy another version."
        )
    raise StepFailed(
        f"Release {context.version} runs already with another content; publish a new version instead."
    )


def _unpack(context: StepContext, root: Root, artifact: store.Artifact) -> Outcome:
    part = root.path / "releases" / f".part-{context.fence}"
    part.mkdir()
    try:
        entries = unpacking.put_files(context, artifact, part)
        files.sync_filesystem(part)
        manifest = manifests.Manifest(
            version=context.version, artifact_sha256=artifact.sha256, entries=tuple(entries)
        )
        _put_release(root, part, manifest)
    except archives.HostileArchive as exc:
        raise StepFailed(str(exc)) from exc
    except OSError as exc:
        raise StepFailed(f"The release could not be unpacked: {store.describe_disk(exc)}.") from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(entry.size for entry in entries)
    return Outcome(message=f"Unpacked {len(entries):,} files, {size:,} bytes.")


def _put_release(root: Root, part: Path, manifest: manifests.Manifest) -> None:
    files.write(root.manifest(manifest.version), manifest.to_json(), guard=root.check_fence)
    root.check_fence()
    files.rename(part, root.release(manifest.version))


def back_up(context: StepContext) -> Outcome:
    """Copy what runs, and record it: from here on we know where to go back to."""
    with _root(context) as root:
        previous = root.current
        if previous == context.version:
            return Outcome(
                message=f"{previous} runs already.", result={"previous": previous}, is_skipped=True
            )
        if previous is None:
            return Outcome(
                message="Nothing runs here yet.", result={"previous": None}, is_skipped=True
            )
        return _back_up(context, root, previous)


def _back_up(context: StepContext, root: Root, previous: str) -> Outcome:
    manifest = manifests.read(root.manifest(previous))
    if manifest is None:
        raise StepFailed(f"The release that runs, {previous}, has no manifest in {root.path}.")
    try:
        folder, is_unchanged = backups.make(
            root.release(previous),
            manifest,
            service_name=context.service_name,
            checkpoint=context.checkpoint,
        )
    except OSError as exc:
        raise StepFailed(f"{previous} could not be backed up: {store.describe_disk(exc)}.") from exc
    message = f"Backed up {previous}."
    if not is_unchanged:
        message += (
            " Some of its files had been changed in place; the backup has them as they are now."
        )
    return Outcome(message=message, result={"previous": previous, "backup_path": str(folder)})


# --- The change, and the rollback ------------------------------------------------------------------


def switch(context: StepContext) -> Outcome:
    with _root(context) as root:
        if root.current == context.version:
            return Outcome(message=f"{context.version} is current.")
        if not root.release(context.version).is_dir():
            raise StepFailed(f"Release {context.version} is not on disk.")
        _flip(root, context.version)
    return Outcome(message=f"{context.version} is current now.")


def _flip(root: Root, version: str) -> None:
    files.point(root.path / "current", f"releases/{version}", guard=root.check_fence)


def restore(context: StepContext) -> Outcome:
    """Go back to the release that was recorded before the switch, on disk or from its backup."""
    with _root(context) as root:
        if context.previous is None:
            root.check_fence()
            (root.path / "current").unlink(missing_ok=True)
            return Outcome(message="Nothing ran here before; there is no current release again.")
        if root.current == context.previous:
            return Outcome(message=f"{context.previous} is current.")
        manifest = manifests.read(root.manifest(context.previous))
        fault = manifests.fault(manifest, root.release(context.previous), context.checkpoint)
        message = f"{context.previous} is current again."
        if fault:
            _put_backup(context, root, context.previous)
            message += f" It was restored from its backup, because on disk {fault}."
            builds.prepare(context, root)
        _flip(root, context.previous)
    return Outcome(message=message)


def _put_backup(context: StepContext, root: Root, version: str) -> None:
    part = root.path / "releases" / f".part-{context.fence}"
    try:
        backups.restore(context.service_name, version, part, context.checkpoint)
        manifest = backups.manifest_of(context.service_name, version)
        if manifest is None:
            raise StepFailed(f"The backup of {version} lost its manifest.")
        root.check_fence()
        builds.forget(root, version)
        files.remove_tree(root.release(version))
        _put_release(root, part, manifest)
    except OSError as exc:
        raise StepFailed(
            f"The backup of {version} could not be restored: {store.describe_disk(exc)}."
        ) from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)


def clean_up(context: StepContext) -> Outcome:
    """Remove what is older than the newest kept ones; what runs and what ran before always stay."""
    with _root(context) as root:
        removed, kept = retention.remove_old_releases(context, root)
    retention.remove_backups_and_artifacts(context, kept)
    return Outcome(message=f"Removed {', '.join(removed)}." if removed else "Nothing to remove.")


STEPS: dict[str, Callable[[StepContext], Outcome]] = {
    "fetch": fetch,
    "verify": verify,
    "unpack": unpack,
    Hook.AFTER_UNPACK: after_unpack,
    "back up": back_up,
    "switch": switch,
    "restore": restore,
    "clean up": clean_up,
}
