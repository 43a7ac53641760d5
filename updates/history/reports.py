"""Turn versions that services report into history, in the transaction of the report.

A row is written where a service runs another version than history knows, and no job of ours is at work on it:
a job writes its own row. Several instances that report the same new version are one update: it is over, and
recorded, when the last live instance of the old version is gone or replaced.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.dispatch import receiver

from registry import events, names
from registry.models import Event, Instance, Service
from saga_project.shared import api, auditing
from updates import event_constructors
from updates.history import audit, fleets, records
from updates.models import HistoryEntry, Job, Release

VERSION_CHANGED = "service.version_changed"
DEPLOYED = "lifecycle.deployed"
GONE = ("service.expired", "service.deregistered")
#: Many services write the time of their reports in whole seconds.
PRECISION = dt.timedelta(seconds=1)


@receiver(auditing.recorded, dispatch_uid="updates.record_audit")
def record_audit(*, action: str, at: dt.datetime, **entry: Any) -> None:
    """Append what a package below reports, in its own transaction."""
    audit.record(
        action,
        actor=entry["actor"],
        service_name=entry["service_name"],
        data=entry["data"],
        at=at,
    )


@receiver(events.published, dispatch_uid="updates.record_reports")
def record_reports(*, events: list[Event], **signal: Any) -> None:  # noqa: ARG001 - its sender
    gone: dict[str, dt.datetime] = {}
    for event in events:
        if event.type == VERSION_CHANGED:
            _record_change(event)
        elif event.type == DEPLOYED and (version := _deployed_version(event)):
            _record(event.service_name, version, at=event.occurred_at)
        elif event.type in GONE:
            gone[event.service_name] = event.occurred_at
    for name in fleets.replaced(gone):
        _record_replacement(name, at=gone[name])


@receiver(events.instance_replaced, dispatch_uid="updates.record_replacement")
def record_replacement(*, service_name: str, at: dt.datetime, **signal: Any) -> None:  # noqa: ARG001
    _record_replacement(service_name, at=at)


def _record_change(event: Event) -> None:
    """The service runs the new version, unless other instances still run the old one."""
    name, old = event.service_name, event.data.get("old_version")
    known = records.deployed_version(name) or old
    others = Instance.objects.live().filter(service__name=name, version=known)
    if not others.exclude(instance_id=event.data.get("instance_id")).exists():
        _record(name, str(event.data["new_version"]), at=event.occurred_at, known=old)


def _record_replacement(name: str, *, at: dt.datetime) -> None:
    """Record what all instances run now, where none of the version that history knows is left."""
    service = Service.objects.filter(name=name).order_by("pk").first()
    running = fleets.running_versions(name)
    if service is None or not running:
        return
    known = records.deployed_version(name) or service.previous_version
    if known and known not in running:
        version = service.version if service.version in running else next(iter(running))
        _record(name, version, at=at, known=known)


def _deployed_version(event: Event) -> str | None:
    """Services report it beside or within the details of their lifecycle webhook.

    These are free-form: what is no version, such as a path, must not become the target of a rollback.
    """
    details = event.data.get("details")
    version = event.data.get("version") or (isinstance(details, dict) and details.get("version"))
    if not isinstance(version, str) or not names.is_version(version) or _is_outdated(event):
        return None
    return version


def _is_outdated(event: Event) -> bool:
    """Whether the service has reported something later already."""
    reported_at = api.parse_time(str(event.data.get("reported_at", "")))
    if reported_at is None:
        return False
    later = Service.objects.filter(reported_at__gt=reported_at + PRECISION)
    return bool(later.filter(name=event.service_name).exists())


def _record(name: str, version: str, *, at: dt.datetime, known: str | None = None) -> None:
    records.lock(name)
    if Job.objects.filter(service__name=name).live().exists():
        return
    known = records.deployed_version(name) or known
    if known == version:
        return
    if (placed := records.placed_version(name)) and placed != version:
        events.publish(event_constructors.service_drifted(name, deployed=placed, reported=version))
    release = Release.objects.filter(service__name=name, version=version).order_by("pk").first()
    records.record(
        records.UpdateOutcome(
            service_name=name,
            kind=HistoryEntry.Kind.REPORTED,
            status=HistoryEntry.Status.SUCCESS,
            old_version=known,
            new_version=version,
            running_version=version,
            timestamp=at,
            released_at=release.published_at if release else None,
            artifact_url=(release and release.artifact_url) or None,
            checksum=(release and release.checksum) or None,
            recorded_by=name,
        )
    )
