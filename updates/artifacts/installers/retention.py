"""Remove releases, backups and artifacts that nothing refers to any more."""

from __future__ import annotations

from updates.artifacts import files, store
from updates.artifacts.installers import backups
from updates.artifacts.installers.root import Root
from updates.step_context import StepContext


def remove_old_releases(context: StepContext, root: Root) -> tuple[list[str], set[str]]:
    """Return the versions that were removed, and those that stay."""
    kept = {root.current, context.version, context.previous} - {None}
    folders = sorted(
        (path for path in (root.path / "releases").iterdir() if not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    others = [folder for folder in folders if folder.name not in kept]
    spare = max(0, context.target.keep_releases - len(kept))
    for folder in others[spare:]:
        root.check_fence()
        files.remove_tree(folder)
        root.manifest(folder.name).unlink(missing_ok=True)
        root.build_mark(folder.name).unlink(missing_ok=True)
    removed = [folder.name for folder in others[spare:]]
    return removed, {folder.name for folder in folders} - set(removed)


def remove_backups_and_artifacts(context: StepContext, kept: set[str]) -> None:
    """Remove backups and artifacts of releases that are not in ``kept``, but never the newest ones."""
    for folder in (
        store.named_path(context.service_name, context.version).parent,
        backups.path_of(context.service_name, context.version).parent,
    ):
        if not folder.is_dir():
            continue
        paths = sorted(
            (path for path in folder.glob("v*") if path.name[1:] not in kept),
            key=lambda path: path.lstat().st_mtime,
            reverse=True,
        )
        for path in paths[context.target.keep_releases :]:
            if path.is_dir():
                files.remove_tree(path)
            else:
                path.unlink(missing_ok=True)
    store.forget_unnamed()
