"""The same in the ScaiControl dialect: a service has a profile, and one instance comes with it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

from registry import directory, errors, events, presence
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Instance, Service
from registry.operations import heartbeats, lifecycle, rows
from registry.operations.registration import Registration, claim, put_instance
from saga_project.shared import transitions


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The description of a service in the ScaiControl dialect, with one instance."""

    slug: str
    name: str
    version: str
    base_url: str
    description: str = ""
    app_id: str = ""
    health_check_url: str = ""
    capabilities: list[str] = field(default_factory=list)
    endpoints: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    heartbeat_interval_seconds: int = 30
    category: str = ""
    contact_email: str = ""

    @property
    def ttl_seconds(self) -> int:
        return self.heartbeat_interval_seconds * settings.REGISTRY_HEARTBEAT_GRACE_MULTIPLIER


@dataclass(frozen=True, kw_only=True)
class HeartbeatAnswer:
    """The answer to a ScaiControl heartbeat."""

    slug: str
    status: str
    health_status: str
    heartbeat_interval_seconds: int


def register_profile(profile: Profile, *, by: Caller, now: dt.datetime) -> Service:
    """Register a service that is not registered; raises ServiceRegistered where it is."""
    with transaction.atomic(durable=True):
        service = claim(profile.slug, by=by, now=now, is_saga=False)
        if service.registered_at != now:
            raise errors.ServiceRegistered(f"Service '{profile.slug}' is already registered.")
        service.previous_version = ""
        service.version = profile.version
        _apply_profile(service, profile)
        service.save()
        put_instance(service, _as_registration(profile), now=now)
        projection.schedule(service, renewed=[(rows.DEFAULT_INSTANCE, profile.ttl_seconds)])
    return service


def update_profile(profile: Profile, *, by: Caller, now: dt.datetime) -> Service:
    """Bring a registered service up to date; the same again changes nothing and publishes nothing."""
    with transaction.atomic(durable=True):
        service = rows.locked(profile.slug)
        accounts.check_may_change(by, profile.slug, owner_id=service.account_id)
        if not _differs(service, profile) and _renew_default(service):
            return service
        rows.note_version(service, profile.version, instance_id=rows.DEFAULT_INSTANCE)
        _apply_profile(service, profile)
        service.updated_at = now
        service.revision += 1
        service.save()
        _update_instance(service, profile, now=now)
        projection.schedule(service, renewed=[(rows.DEFAULT_INSTANCE, profile.ttl_seconds)])
    return service


def _renew_default(service: Service) -> bool:
    return presence.renew([presence.member_of(service.name, rows.DEFAULT_INSTANCE)]) != [0]


def _apply_profile(service: Service, profile: Profile) -> None:
    for name, value in _profile_fields(profile).items():
        setattr(service, name, value)


def _profile_fields(profile: Profile) -> dict[str, Any]:
    return {
        "display_name": profile.name,
        "description": profile.description,
        "app_id": profile.app_id,
        "health_check_url": profile.health_check_url,
        "capabilities": profile.capabilities,
        "endpoints": profile.endpoints,
        "metadata": profile.metadata,
        "heartbeat_interval_seconds": profile.heartbeat_interval_seconds,
        "category": profile.category,
        "contact_email": profile.contact_email,
    }


def _differs(service: Service, profile: Profile) -> bool:
    instance = service.instances.filter(instance_id=rows.DEFAULT_INSTANCE).first()
    if instance is None or instance.state != Instance.State.LIVE:
        return True
    return (
        service.version != profile.version
        or instance.url != profile.base_url
        or any(getattr(service, name) != value for name, value in _profile_fields(profile).items())
    )


def _update_instance(service: Service, profile: Profile, *, now: dt.datetime) -> None:
    """Bring the default instance up to date; a service that had none comes back with one."""
    registration = _as_registration(profile)
    changed = service.instances.filter(
        instance_id=rows.DEFAULT_INSTANCE, state=Instance.State.LIVE
    ).update(
        url=registration.url,
        capabilities=registration.capabilities,
        version=registration.version,
        metadata=registration.metadata,
        health_check_url=registration.health_check_url,
        ttl_seconds=registration.ttl_seconds,
        registered_at=now,
    )
    if not changed:
        put_instance(service, registration, now=now)


def _as_registration(profile: Profile) -> Registration:
    metadata = {key: value for key, value in profile.metadata.items() if isinstance(value, str)}
    return Registration(
        service_name=profile.slug,
        url=profile.base_url,
        capabilities=profile.capabilities,
        version=profile.version,
        metadata=metadata,
        health_check_url=profile.health_check_url,
        ttl_seconds=profile.ttl_seconds,
    )


def renew_profile(
    slug: str,
    *,
    report: str,
    by: Caller,
    now: dt.datetime,
    instance_id: str = rows.DEFAULT_INSTANCE,
    version: str | None = None,
    note: str | None = None,
) -> HeartbeatAnswer:
    """Record a ScaiControl heartbeat: ``report`` is ``healthy``, ``degraded`` or ``unhealthy``.

    What was degraded is active again, what had expired is back. Raises ServiceNotFound.
    """
    service_health, health = rows.HEALTH_OF_REPORT[report]
    known = directory.find(slug)
    if known is not None:
        accounts.check_may_change(by, slug, owner_id=known.account_id, labels=known.labels)
        entry = known.instances.get(instance_id) or known.instances.get(rows.DEFAULT_INSTANCE)
        heartbeat = heartbeats.Heartbeat(
            service_name=slug,
            instance_id=entry.instance_id if entry else instance_id,
            health=health,
            version=version,
            note=note,
        )
        is_quiet = (
            entry is not None
            and known.health_status == service_health
            and known.status != Service.Status.DEGRADED
            and known.misses == 0
            and not heartbeats.is_news(heartbeat, entry)
        )
        if is_quiet and presence.renew([presence.member_of(slug, heartbeat.instance_id)]) != [0]:
            return HeartbeatAnswer(
                slug=slug,
                status=known.status,
                health_status=known.health_status,
                heartbeat_interval_seconds=known.heartbeat_interval_seconds,
            )
    return _write_standing(
        slug, report=report, by=by, now=now, instance_id=instance_id, version=version, note=note
    )


def _write_standing(
    slug: str,
    *,
    report: str,
    by: Caller,
    now: dt.datetime,
    instance_id: str,
    version: str | None,
    note: str | None,
) -> HeartbeatAnswer:
    service_health, health = rows.HEALTH_OF_REPORT[report]
    with transaction.atomic(durable=True):
        service = rows.locked(slug)
        accounts.check_may_change(by, slug, owner_id=service.account_id)
        instance = _heartbeat_instance(service, instance_id)
        if instance is not None:
            _revive(service, instance, now=now)
            rows.set_health(service, instance, health, note=note or "")
            instance.note = note if note is not None else instance.note
            if version is not None:
                rows.set_version(service, instance, version)
            instance.save()
        elif version is not None:
            rows.note_version(service, version)
        if lifecycle.recover(service):
            events.publish(events.service_recovered(slug))
        service.health_status = service_health
        service.consecutive_misses = 0
        service.last_heartbeat_at = now
        rows.save_change(service, now=now)
        renewed = [(instance.instance_id, instance.ttl_seconds)] if instance else []
        projection.schedule(service, renewed=renewed)
    return HeartbeatAnswer(
        slug=slug,
        status=service.status,
        health_status=service.health_status,
        heartbeat_interval_seconds=service.heartbeat_interval_seconds,
    )


def _heartbeat_instance(service: Service, instance_id: str) -> Instance | None:
    """Return the instance that speaks; ScaiControl clients may name one that never registered."""
    known = {row.instance_id: row for row in service.instances.all()}
    return known.get(instance_id) or known.get(rows.DEFAULT_INSTANCE)


def _revive(service: Service, instance: Instance, *, now: dt.datetime) -> None:
    instance.last_heartbeat_at = now
    if instance.state != Instance.State.LIVE:
        transitions.set_state(instance, Instance.State.LIVE)
        instance.gone_at = None
        events.publish(events.service_recovered(service.name, instance_id=instance.instance_id))
