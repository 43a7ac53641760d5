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


def renew(heartbeat: Heartbeat, *, by: Caller | None, now: dt.datetime) -> int:
    """Keep an instance alive and return its TTL in seconds; raises ServiceNotLive."""
    answer = renew_many([heartbeat], by=by, now=now)
    if answer.missing:
        raise errors.ServiceNotLive(
            f"Service '{heartbeat.service_name}' not found in registry or expired; register it again."
        )
    return answer.ttl_seconds


def renew_many(heartbeats: Sequence[Heartbeat], *, by: Caller | None, now: dt.datetime) -> Renewed:
    """Keep many instances alive in one round trip; only news is written to PostgreSQL."""
    known = [_known(heartbeat, by) for heartbeat in heartbeats]
    members = [
        presence.member_of(heartbeat.service_name, heartbeat.instance_id)
        for heartbeat in heartbeats
    ]
    renewed = presence.renew(members)
    missing: list[str] = []
    ttls: list[int] = []
    for heartbeat, entry, heartbeat_us in zip(heartbeats, known, renewed, strict=True):
        if not heartbeat_us or entry is None:
            missing.append(heartbeat.service_name)
            continue
        entry.renew(heartbeat_us)
        ttls.append(entry.ttl_seconds)
        if is_news(heartbeat, entry):
            _write_heartbeat(heartbeat, now=now)
    directory.note_version()
    return Renewed(
        refreshed=len(ttls),
        ttl_seconds=min(ttls, default=settings.REGISTRATION_TTL),
        missing=missing,
    )


def _known(heartbeat: Heartbeat, by: Caller | None) -> directory.InstanceEntry | None:
    service = directory.find(heartbeat.service_name)
    accounts.check_may_change(
        by,
        heartbeat.service_name,
        owner_id=service.account_id if service else None,
        labels=service.labels if service else None,
    )
    return service.instances.get(heartbeat.instance_id) if service else None


def is_news(heartbeat: Heartbeat, entry: directory.InstanceEntry) -> bool:
    return (
        (heartbeat.health is not None and heartbeat.health != entry.reported_health)
        or (heartbeat.version is not None and heartbeat.version != entry.version)
        or (heartbeat.note is not None and heartbeat.note != entry.note)
    )


@faults.retry_conflict
def _write_heartbeat(heartbeat: Heartbeat, *, now: dt.datetime) -> None:
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=heartbeat.service_name).first()
        if service is None:
            return
        instance = service.instances.live().filter(instance_id=heartbeat.instance_id).first()
        if instance is None:
            return
        if heartbeat.health is not None:
            rows.set_health(service, instance, heartbeat.health, note=heartbeat.note or "")
        if heartbeat.note is not None:
            instance.note = heartbeat.note
        is_replaced = heartbeat.version not in (None, instance.version)
        if heartbeat.version is not None:
            rows.set_version(service, instance, heartbeat.version)
        instance.last_heartbeat_at = now
        instance.save(update_fields=["health", "note", "version", "last_heartbeat_at"])
        rows.save_change(service, now=now)
        if is_replaced:
            rows.send_replaced(service, now=now)
        projection.schedule(service)
