"""What a target's ``after_unpack`` hook makes of a release: beside its files, and in no manifest.

The hook runs once for each release on disk. Whatever it adds to the release's folder is not held against the
manifest; ``.build`` is emptied before each run, so that a run that was killed leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json

from updates.artifacts import files
from updates.artifacts.installers import hooks, manifests
from updates.artifacts.installers.hooks import Hook
from updates.artifacts.installers.root import Root
from updates.step_context import Outcome, StepContext, StepFailed

FOLDER = ".build"


def prepare(context: StepContext, root: Root) -> Outcome:
    """Run the hook for the wanted release, unless it ran well already; the caller holds the root."""
    version = context.wanted_version
    if not hooks.has(context.target, Hook.AFTER_UNPACK):
        return Outcome(message="The target has no hook after_unpack any more.", is_skipped=True)
    manifest = manifests.read(root.manifest(version))
    if manifest and any(entry.path.split("/")[0] == FOLDER for entry in manifest.entries):
        raise StepFailed(f"The artifact holds {FOLDER}, the folder that after_unpack builds in.")
    mark, stamp = root.build_mark(version), _stamp(context)
    if mark.is_file() and mark.read_bytes() == stamp:
        return Outcome(message=f"{version} was prepared already.", is_skipped=True)
    forget(root, version)
    folder = root.release(version) / FOLDER
    root.check_fence()
    files.remove_tree(folder)
    folder.mkdir()
    outcome = hooks.run(context, Hook.AFTER_UNPACK)
    files.sync_filesystem(root.release(version))
    files.write(mark, stamp, guard=root.check_fence)
    return outcome


def forget(root: Root, version: str) -> None:
    root.build_mark(version).unlink(missing_ok=True)


def _stamp(context: StepContext) -> bytes:
    """Return what a build stands on: another hook or environment builds anew."""
    given = [context.target.hooks[Hook.AFTER_UNPACK], dict(context.environment.plain)]
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest().encode()
