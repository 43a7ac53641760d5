"""Turn versions that services report into history, in the transaction of the report.

A row is written where a service runs another version than history knows, and no job of ours is at work on it:
a job writes its own row. Several instances that report the same new version are one update.
"""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from registry import events
from registry.models import Event
from updates.history import records
from updates.models import HistoryEntry, Job, Release

VERSION_CHANGED = "service.version_changed"
DEPLOYED = "lifecycle.deployed"


@receiver(events.published, dispatch_uid="updates.record_reports")
def record_reports(*, events: list[Event], **signal: Any) -> None:  # noqa: ARG001 - its sender
    for event in events:
        version = _reported_version(event)
        if version is not None:
            _record_report(event, version)


def _reported_version(event: Event) -> str | None:
    if event.type == VERSION_CHANGED:
        return str(event.data["new_version"])
    if event.type == DEPLOYED:
        # Services tell it beside or within the details of their lifecycle webhook.
        details = event.data.get("details")
        version = event.data.get("version") or (
            isinstance(details, dict) and details.get("version")
        )
        return version if isinstance(version, str) and 0 < len(version) <= 128 else None
    return None


def _record_report(event: Event, version: str) -> None:
    name = event.service_name
    records.lock(name)
    if Job.objects.filter(service__name=name).live().exists():
        return
    known = records.deployed_version(name) or event.data.get("old_version")
    if known == version:
        return
    release = Release.objects.filter(service__name=name, version=version).order_by("pk").first()
    records.record(
        records.UpdateOutcome(
            service_name=name,
            kind=HistoryEntry.Kind.REPORTED,
            status=HistoryEntry.Status.SUCCESS,
            old_version=known,
            new_version=version,
            running_version=version,
            timestamp=event.occurred_at,
            released_at=release.published_at if release else None,
            artifact_url=(release and release.artifact_url) or None,
            checksum=(release and release.checksum) or None,
            recorded_by=name,
        )
    )
