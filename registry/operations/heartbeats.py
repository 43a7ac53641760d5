"""Heartbeats: one round trip to Redis; a row is written only for what is new."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from registry import directory, errors, presence
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service
from registry.operations import rows
from saga_project.shared.database import faults


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """One heartbeat; what is None says nothing."""

    service_name: str
    instance_id: str = rows.DEFAULT_INSTANCE
    health: str | None = None
    version: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """The answer to many heartbeats: the smallest TTL of those refreshed, and the missing names."""

    refreshed: int
    ttl_seconds: int
    missing: list[str]


def renew(beat: Heartbeat, *, by: Caller | None, now: dt.datetime) -> int:
    """Keep an instance alive and return its TTL in seconds; raises ServiceNotLive."""
    answer = renew_many([beat], by=by, now=now)
    if answer.missing:
        raise errors.ServiceNotLive(
            f"Service '{beat.service_name}' not found in registry or expired; register it again."
        )
    return answer.ttl_seconds


def renew_many(beats: Sequence[Heartbeat], *, by: Caller | None, now: dt.datetime) -> Renewed:
    """Keep many instances alive in one round trip; only what tells something new is written down."""
    known = [_known(beat, by) for beat in beats]
    members = [presence.member_of(beat.service_name, beat.instance_id) for beat in beats]
    renewed = presence.renew(members)
    missing: list[str] = []
    ttls: list[int] = []
    for beat, entry, heartbeat_us in zip(beats, known, renewed, strict=True):
        if not heartbeat_us or entry is None:
            missing.append(beat.service_name)
            continue
        entry.renew(heartbeat_us)
        ttls.append(entry.ttl_seconds)
        if is_news(beat, entry):
            _write_heartbeat(beat, now=now)
    directory.note_version()
    return Renewed(
        refreshed=len(ttls),
        ttl_seconds=min(ttls, default=settings.REGISTRATION_TTL),
        missing=missing,
    )


def _known(beat: Heartbeat, by: Caller | None) -> directory.InstanceEntry | None:
    service = directory.find(beat.service_name)
    accounts.check_may_change(
        by,
        beat.service_name,
        owner_id=service.account_id if service else None,
        labels=service.labels if service else None,
    )
    return service.instances.get(beat.instance_id) if service else None


def is_news(beat: Heartbeat, entry: directory.InstanceEntry) -> bool:
    return (
        (beat.health is not None and beat.health != entry.reported_health)
        or (beat.version is not None and beat.version != entry.version)
        or (beat.note is not None and beat.note != entry.note)
    )


@faults.retry_conflict
def _write_heartbeat(beat: Heartbeat, *, now: dt.datetime) -> None:
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=beat.service_name).first()
        if service is None:
            return
        instance = service.instances.live().filter(instance_id=beat.instance_id).first()
        if instance is None:
            return
        if beat.health is not None:
            rows.set_health(service, instance, beat.health, note=beat.note or "")
        if beat.note is not None:
            instance.note = beat.note
        is_replaced = beat.version not in (None, instance.version)
        if beat.version is not None:
            rows.set_version(service, instance, beat.version)
        instance.last_heartbeat_at = now
        instance.save(update_fields=["health", "note", "version", "last_heartbeat_at"])
        rows.save_change(service, now=now)
        if is_replaced:
            rows.tell_replaced(service, now=now)
        projection.schedule(service)
