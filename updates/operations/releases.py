"""Operations on releases, for staff and programs."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from django.db import transaction
from django.utils import timezone

from registry import events
from registry.models import Service
from saga_project.shared import wakeups
from updates import event_constructors
from updates.history import audit
from updates.models import Release, Source
from updates.policies import comparison
from updates.releases import following, origins, recording, sources
from updates.releases.sources import Found


def announce(service: Service, announcement: recording.Announcement, *, by: str) -> Release:
    """Put a release on record and apply the service's policy to it.

    The same announcement again changes nothing. Raises InvalidRequest, ReleaseDiffers.
    """
    recording.evaluate(announcement)
    with transaction.atomic():  # not durable: a webhook keeps its call in the same transaction
        release, is_new = recording.record(service, announcement, origin="announced", by=by)
        if is_new:
            _publish_announced(release)
            audit.record(
                "release.announced",
                actor=by,
                service_name=service.name,
                data={"version": release.version, "checksum": release.checksum},
                at=release.recorded_at,
            )
        if not is_new:
            recording.ask_anew(release, at=timezone.now())
        wakeups.wake("updates.apply_policy", service.pk)
    return release


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReleaseNotice:
    """What a sender's own payload says of one release; ``item`` is what the source of that kind reads."""

    kind: str
    repository: str
    item: dict[str, Any]
    is_withdrawn: bool = False

    @property
    def place(self) -> str:
        """Where the release is published: an image's repository in its registry, else the repository."""
        return str(self.item["location"]) if self.kind == Source.Kind.OCI else self.repository


@dataclasses.dataclass(frozen=True)
class ReceivedRelease:
    """The version that was recorded or withdrawn, or why nothing followed."""

    version: str = ""
    ignored: str = ""
    #: The service has a source of another kind, which may have the release as well.
    has_other_source: bool = False
    #: The sender speaks of another repository than the service's source.
    is_foreign: bool = False


def receive_notice(service: Service, notice: ReleaseNotice, *, by: str) -> ReceivedRelease:
    """Record, change or withdraw the release that a sender speaks of, inside the caller's transaction."""
    source = Source.objects.filter(service=service).order_by("pk").first()
    if source is not None and (reason := origins.other_kind(source, notice.kind)):
        return ReceivedRelease(ignored=reason, has_other_source=True)
    if source is not None and (reason := origins.other_place(source, notice.kind, notice.place)):
        return ReceivedRelease(ignored=reason, is_foreign=True)
    options = source.options if source is not None and source.kind == notice.kind else {}
    found = sources.NOTICE_READERS[notice.kind](notice.item, options)
    if found is None:
        return ReceivedRelease(
            ignored="The release is a draft, or its tag is no version of this service."
        )
    found = dataclasses.replace(found, is_withdrawn=notice.is_withdrawn)
    known = Release.objects.filter(service=service, version=found.version).order_by("pk").first()
    if known is None and notice.is_withdrawn:
        return ReceivedRelease(ignored=f"Release {found.version} is not on record.")
    _take(service, found, known, origin=notice.kind, by=by)
    wakeups.wake("updates.apply_policy", service.pk)
    return ReceivedRelease(version=found.version)


def _take(service: Service, found: Found, known: Release | None, *, origin: str, by: str) -> None:
    release = following.take(service, found, known, origin=origin, by=by)
    if release is None or known is not None:
        return
    audit.record(
        "release.announced",
        actor=by,
        service_name=service.name,
        data={"version": release.version, "checksum": release.checksum},
        at=release.recorded_at,
    )
    _offer(release)


def _publish_announced(release: Release) -> None:
    """Publish the release and, if it is newer than the running version, the available update."""
    events.publish(
        event_constructors.release_announced(
            release.service.name,
            version=release.version,
            origin=release.origin,
            channel=release.channel,
        )
    )
    _offer(release)


def _offer(release: Release) -> None:
    """Publish the update, where the release is the newest that the rules accept."""
    name = release.service.name
    found = comparison.compare(release.service)
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
    wakeups.wake("updates.apply_policy", release.service_id)
