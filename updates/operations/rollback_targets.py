"""Which version a rollback restores: one that ran before, by default the last good one."""

from __future__ import annotations

from django.db.models import Q

from registry import names
from registry.models import Instance, Service
from updates import errors
from updates.artifacts.installers import backups
from updates.models import HistoryEntry, Release

LOOKED_AT = 1000

Status = HistoryEntry.Status


def choose(service: Service, version: str | None, *, current: str | None) -> str:
    """Return the wanted version, or the last good one that differs from ``current``.

    Raises ReleaseNotFound where it never ran, or where neither a release nor a backup of it is there, and
    VersionRunsAlready where every target that serves runs it.
    """
    if version is None:
        return _last_good(service, current)
    release = Release.objects.filter(service=service, version=version).first()
    if release is None and not _has_backup(service, version):
        raise errors.ReleaseNotFound(
            f"Version {version} of '{service.name}' is not available: no release and no backup of it."
        )
    if not _has_run(service, version):
        raise errors.ReleaseNotFound(
            f"Version {version} of '{service.name}' never ran, so it cannot be restored: deploy it instead."
        )
    if _runs_everywhere(service, version):
        raise errors.VersionRunsAlready(
            f"Every target of '{service.name}' runs {version}: name another version to restore, or deploy"
            f" {version} to install it anew."
        )
    return version


def _runs_everywhere(service: Service, version: str) -> bool:
    serving = service.targets.filter(is_enabled=True, is_standby=False).exclude(current_version="")
    return set(serving.values_list("current_version", flat=True)) == {version}


def _last_good(service: Service, current: str | None) -> str:
    states = dict(Release.objects.filter(service=service).values_list("version", "state"))
    for version in reversed(_versions_run(service.name)):
        # What services reported before Saga checked it may be a path, which leads out of a folder.
        is_kept = version in states or (names.is_version(version) and _has_backup(service, version))
        is_good = states.get(version, Release.State.AVAILABLE) == Release.State.AVAILABLE
        if version != current and is_kept and is_good:
            return version
    raise errors.ReleaseNotFound(f"No good version of '{service.name}' ran before.")


def _versions_run(service_name: str) -> list[str]:
    """Return the versions that ran, oldest first; a rollback takes away what it went back from."""
    newest = HistoryEntry.objects.filter(service_name=service_name).standing().newest_first()
    columns = ("kind", "status", "old_version", "new_version", "running_version")
    rows = list(newest.values_list(*columns)[:LOOKED_AT])
    run: list[str] = []
    for kind, status, old, new, running in reversed(rows):
        if kind == HistoryEntry.Kind.ROLLBACK and new and new == running:
            _go_back(run, to=new)
        elif status == Status.SUCCESS:
            _append(run, old)
            _append(run, new)
    return run


def _append(run: list[str], version: str | None) -> None:
    if version and run[-1:] != [version]:
        run.append(version)


def _go_back(run: list[str], *, to: str) -> None:
    if to in run:
        del run[len(run) - run[::-1].index(to) :]
    else:
        run.append(to)


def _has_run(service: Service, version: str) -> bool:
    if version in (service.version, service.previous_version) or _has_backup(service, version):
        return True
    entries = HistoryEntry.objects.filter(service_name=service.name).filter(
        Q(running_version=version)
        | Q(old_version=version)
        | Q(new_version=version, status=Status.SUCCESS)
    )
    instances = Instance.objects.filter(service=service, version=version)
    return entries.standing().exists() or instances.exists()


def _has_backup(service: Service, version: str) -> bool:
    return backups.path_of(service.name, version).is_dir()
