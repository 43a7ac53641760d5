"""What people and programs may do to releases."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from registry import events
from registry.models import Service
from saga_project.shared import wakeups
from updates import event_constructors
from updates.history import audit
from updates.models import Release
from updates.releases import checks, recording


def announce(service: Service, announcement: recording.Announcement, *, by: str) -> Release:
    """Put a release on record and let the service's policy decide what follows.

    The same announcement again changes nothing. Raises InvalidRequest, ReleaseDiffers.
    """
    recording.judge(announcement)
    with transaction.atomic():  # not durable: a webhook keeps its call in the same transaction
        release, is_new = recording.record(service, announcement, origin="announced")
        if is_new:
            _tell(release)
            audit.record(
                "release.announced",
                actor=by,
                service_name=service.name,
                data={"version": release.version, "checksum": release.checksum},
                at=release.recorded_at,
            )
        wakeups.ring("updates.apply_policy", service.pk)
    return release


def _tell(release: Release) -> None:
    """Tell of the release, and, where it is the newest and newer than what runs, of the update."""
    name = release.service.name
    events.publish(
        event_constructors.release_announced(
            name, version=release.version, origin=release.origin, channel=release.channel
        )
    )
    found = checks.compare(release.service)
    if found.is_update_available and found.latest_version == release.version:
        events.publish(
            event_constructors.update_available(
                name, current=found.current_version, latest=release.version
            )
        )


def quarantine(release: Release, *, by: str, reason: str, at: dt.datetime) -> None:
    """Quarantine the release, so that it is not installed again until staff release it."""
    _move(release, to=Release.State.QUARANTINED, by=by, reason=reason, at=at)


def withdraw(release: Release, *, by: str, reason: str, at: dt.datetime) -> None:
    _move(release, to=Release.State.WITHDRAWN, by=by, reason=reason, at=at)


def make_available(release: Release, *, by: str, reason: str, at: dt.datetime) -> None:
    _move(release, to=Release.State.AVAILABLE, by=by, reason=reason, at=at)


@transaction.atomic(durable=True)
def _move(release: Release, *, to: str, by: str, reason: str, at: dt.datetime) -> None:
    if not recording.move(release, to=to, reason=reason, at=at):
        return
    audit.record(
        f"release.{to}",
        actor=by,
        service_name=release.service.name,
        data={"version": release.version, "reason": reason},
        at=at,
    )
    wakeups.ring("updates.apply_policy", release.service_id)
