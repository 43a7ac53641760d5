"""Everything that changes the registry: register, beat, leave, approve, reject, report, drain.

Each operation owns its transaction, writes its facts in it, and shows the result to readers when it
commits. A heartbeat that tells nothing new touches Redis only.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from registry import accounts, directory, errors, events, names, presence, projection
from registry.accounts import Caller
from registry.models import Instance, Service, Subscription

DEFAULT_INSTANCE = "default"
HEALTH_OF_REPORT = {
    "healthy": (Service.Health.HEALTHY, Instance.Health.PASSING),
    "degraded": (Service.Health.DEGRADED, Instance.Health.WARNING),
    # It speaks, so it can be reached, however ill it is.
    "unhealthy": (Service.Health.DEGRADED, Instance.Health.CRITICAL),
}


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What an instance says of itself."""

    service_name: str
    url: str
    capabilities: list[str] = field(default_factory=list)
    instance_id: str = DEFAULT_INSTANCE
    version: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    health_check_url: str = ""
    weight: int = 1
    zone: str = ""
    ttl_seconds: int = 60


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a service says of itself in the ScaiControl dialect; one instance comes with it."""

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
class Registered:
    """The answer to a registration."""

    service_name: str
    service_id: str
    url: str
    registered_at: str
    capabilities: list[str]
    ttl_seconds: int


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One heartbeat; what is None says nothing."""

    service_name: str
    instance_id: str = DEFAULT_INSTANCE
    health: str | None = None
    version: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """The answer to many heartbeats: the smallest TTL of those refreshed, and who is not there."""

    refreshed: int
    ttl_seconds: int
    missing: list[str]


# --- Registering, Saga dialect --------------------------------------------------------------------


def register(registration: Registration, *, by: Caller | None, now: dt.datetime) -> Registered:
    """Register an instance, or renew it where nothing differs (then no row is written).

    Raises ServiceOwned where the service belongs to another account.
    """
    known = directory.find(registration.service_name)
    accounts.check_may_change(
        by, registration.service_name, owner_id=known.account_id if known else None
    )
    if known is not None and (same := _renew_if_same(known, registration, by)):
        return same
    return _register_anew(registration, by=by, now=now)


def _renew_if_same(
    known: directory.ServiceEntry, registration: Registration, by: Caller | None
) -> Registered | None:
    instance = known.instances.get(registration.instance_id)
    is_taken_over = by is not None and known.account_id is None
    if instance is None or is_taken_over or known.status != Service.Status.ACTIVE:
        return None
    if not _is_same(instance, registration):
        return None
    member = presence.member_of(registration.service_name, registration.instance_id)
    if presence.renew([member]) == [0]:
        return None
    return Registered(
        service_name=known.name,
        service_id=known.service_id,
        url=instance.url,
        registered_at=instance.registered_at,
        capabilities=instance.capabilities,
        ttl_seconds=instance.ttl_seconds,
    )


def _is_same(instance: directory.InstanceEntry, registration: Registration) -> bool:
    return (
        instance.url == registration.url
        and instance.capabilities == registration.capabilities
        and instance.version == registration.version
        and instance.metadata == registration.metadata
        and instance.health_check_url == registration.health_check_url
        and instance.weight == registration.weight
        and instance.zone == registration.zone
        and instance.ttl_seconds == registration.ttl_seconds
        and instance.health == Instance.Health.PASSING
    )


def _register_anew(
    registration: Registration, *, by: Caller | None, now: dt.datetime
) -> Registered:
    with transaction.atomic(durable=True):
        service = _claim(registration.service_name, by=by, now=now, is_saga=True)
        service.heartbeat_interval_seconds = (
            service.heartbeat_interval_seconds or settings.HEARTBEAT_INTERVAL
        )
        if registration.version:
            _note_version(service, registration.version)
        service.save()
        instance = _put_instance(service, registration, now=now)
        projection.schedule(service, renewed=[(instance.instance_id, instance.ttl_seconds)])
    return Registered(
        service_name=service.name,
        service_id=str(service.service_id),
        url=instance.url,
        registered_at=projection.iso(instance.registered_at),
        capabilities=instance.capabilities,
        ttl_seconds=instance.ttl_seconds,
    )


def _claim(name: str, *, by: Caller | None, now: dt.datetime, is_saga: bool) -> Service:
    """Return the locked row of a service that is (again) registered by this caller."""
    Service.objects.bulk_create(
        [
            Service(
                name=name,
                status=Service.Status.DEREGISTERED,
                heartbeat_interval_seconds=settings.HEARTBEAT_INTERVAL,
                registered_at=now,
                updated_at=now,
                revision=0,
            )
        ],
        ignore_conflicts=True,
    )
    service = Service.objects.select_for_update().get(name=name)
    accounts.check_may_change(by, name, owner_id=service.account_id)
    if by is not None and service.account_id is None and by.account.pk:
        service.account = by.account
    _enter(service, by=by, now=now, is_saga=is_saga)
    service.consecutive_misses = 0
    service.last_heartbeat_at = now
    service.updated_at = now
    service.revision += 1
    return service


def _enter(service: Service, *, by: Caller | None, now: dt.datetime, is_saga: bool) -> None:
    """Move the status of a service that (again) registers."""
    Status = Service.Status
    if service.status == Status.DEREGISTERED:
        service.registered_at = now
        service.health_status = Service.Health.HEALTHY
        service.status = Status.ACTIVE if service.approved_at else Status.PENDING_APPROVAL
    if service.status == Status.DEGRADED:
        service.status = Status.ACTIVE
        service.health_status = Service.Health.HEALTHY
    if service.status == Status.PENDING_APPROVAL and _is_trusted(
        service.name, by=by, is_saga=is_saga
    ):
        service.status = Status.ACTIVE
        service.approved_at = now
        service.is_auto_approved = True


def _is_trusted(name: str, *, by: Caller | None, is_saga: bool) -> bool:
    """Whether a service needs nobody's approval."""
    if by is not None and by.account.is_internal:
        return True
    if any(fnmatch.fnmatchcase(name, glob) for glob in settings.SAGA_INTERNAL_SERVICES):
        return True
    return is_saga and settings.SAGA_AUTO_APPROVE


def _note_version(service: Service, version: str, *, instance_id: str | None = None) -> None:
    """Record a new version on the locked service, and tell of it where an old one was known."""
    if service.version == version:
        return
    if service.version:
        service.previous_version = service.version
        events.publish(
            events.service_version_changed(
                service.name, old=service.version, new=version, instance_id=instance_id
            )
        )
    service.version = version


def _put_instance(service: Service, registration: Registration, *, now: dt.datetime) -> Instance:
    before = service.instances.filter(instance_id=registration.instance_id).first()
    if before is not None and before.state == Instance.State.LIVE:
        _tell_if_expired(service, before)
    instance, _ = Instance.objects.update_or_create(
        service=service,
        instance_id=registration.instance_id,
        defaults={
            "url": registration.url,
            "capabilities": registration.capabilities,
            "version": registration.version,
            "metadata": registration.metadata,
            "health_check_url": registration.health_check_url,
            "weight": registration.weight,
            "zone": registration.zone,
            "ttl_seconds": registration.ttl_seconds,
            "state": Instance.State.LIVE,
            "health": Instance.Health.PASSING,
            "note": "",
            "registered_at": now,
            "last_heartbeat_at": now,
            "gone_at": None,
        },
    )
    events.publish(
        events.service_registered(
            service.name,
            instance_id=instance.instance_id,
            url=instance.url,
            version=instance.version,
            capabilities=instance.capabilities,
        )
    )
    return instance


def _tell_if_expired(service: Service, instance: Instance) -> None:
    """An instance that comes back before the sweep wrote its expiry down did expire all the same."""
    member = presence.member_of(service.name, instance.instance_id)
    if member in presence.expiring():
        events.publish(
            events.service_expired(
                service.name,
                instance_id=instance.instance_id,
                last_heartbeat_at=projection.iso(instance.last_heartbeat_at),
            )
        )


# --- Registering, ScaiControl dialect -------------------------------------------------------------


def register_profile(profile: Profile, *, by: Caller, now: dt.datetime) -> Service:
    """Register a service that is not registered; raises ServiceRegistered where it is."""
    with transaction.atomic(durable=True):
        service = _claim(profile.slug, by=by, now=now, is_saga=False)
        if service.registered_at != now:
            raise errors.ServiceRegistered(f"Service '{profile.slug}' is already registered.")
        service.previous_version = ""
        service.version = profile.version
        _apply_profile(service, profile)
        service.save()
        _put_instance(service, _as_registration(profile), now=now)
        projection.schedule(service, renewed=[(DEFAULT_INSTANCE, profile.ttl_seconds)])
    return service


def update_profile(profile: Profile, *, by: Caller, now: dt.datetime) -> Service:
    """Bring a registered service up to date; the same again changes and tells nothing."""
    with transaction.atomic(durable=True):
        service = _locked(profile.slug)
        accounts.check_may_change(by, profile.slug, owner_id=service.account_id)
        if not _differs(service, profile) and _renew_default(service):
            return service
        _note_version(service, profile.version, instance_id=DEFAULT_INSTANCE)
        _apply_profile(service, profile)
        service.updated_at = now
        service.revision += 1
        service.save()
        _update_instance(service, profile, now=now)
        projection.schedule(service, renewed=[(DEFAULT_INSTANCE, profile.ttl_seconds)])
    return service


def _renew_default(service: Service) -> bool:
    return presence.renew([presence.member_of(service.name, DEFAULT_INSTANCE)]) != [0]


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
    instance = service.instances.filter(instance_id=DEFAULT_INSTANCE).first()
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
        instance_id=DEFAULT_INSTANCE, state=Instance.State.LIVE
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
        _put_instance(service, registration, now=now)


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


# --- Beating --------------------------------------------------------------------------------------


def renew(beat: Beat, *, by: Caller | None, now: dt.datetime) -> int:
    """Keep an instance alive and return its TTL in seconds; raises ServiceNotLive."""
    answer = renew_many([beat], by=by, now=now)
    if answer.missing:
        raise errors.ServiceNotLive(
            f"Service '{beat.service_name}' not found in registry or expired; register it again."
        )
    return answer.ttl_seconds


def renew_many(beats: Sequence[Beat], *, by: Caller | None, now: dt.datetime) -> Renewed:
    """Keep many instances alive in one round trip; only what tells something new is written down."""
    known = [_known(beat, by) for beat in beats]
    members = [presence.member_of(beat.service_name, beat.instance_id) for beat in beats]
    deadlines = presence.renew(members)
    directory.note_beats(members, deadlines)
    missing: list[str] = []
    ttls: list[int] = []
    for beat, entry, deadline in zip(beats, known, deadlines, strict=True):
        if not deadline or entry is None:
            missing.append(beat.service_name)
            continue
        ttls.append(entry.ttl_seconds)
        if _is_news(beat, entry):
            _write_beat(beat, now=now)
    return Renewed(
        refreshed=len(ttls),
        ttl_seconds=min(ttls, default=settings.REGISTRATION_TTL),
        missing=missing,
    )


def _known(beat: Beat, by: Caller | None) -> directory.InstanceEntry | None:
    service = directory.find(beat.service_name)
    accounts.check_may_change(
        by, beat.service_name, owner_id=service.account_id if service else None
    )
    return service.instances.get(beat.instance_id) if service else None


def _is_news(beat: Beat, entry: directory.InstanceEntry) -> bool:
    return (
        (beat.health is not None and beat.health != entry.health)
        or (beat.version is not None and beat.version != entry.version)
        or (beat.note is not None and beat.note != entry.note)
    )


def _write_beat(beat: Beat, *, now: dt.datetime) -> None:
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=beat.service_name).first()
        instance = service and service.instances.live().filter(instance_id=beat.instance_id).first()
        if service is None or instance is None:
            return
        if beat.health is not None:
            _set_health(service, instance, beat.health, note=beat.note or "")
        if beat.note is not None:
            instance.note = beat.note
        if beat.version is not None:
            _set_version(service, instance, beat.version)
        instance.last_heartbeat_at = now
        instance.save(update_fields=["health", "note", "version", "last_heartbeat_at"])
        _save_change(service, now=now)
        projection.schedule(service)


def _set_health(service: Service, instance: Instance, health: str, *, note: str) -> None:
    if instance.health == health:
        return
    events.publish(
        events.health_changed(
            service.name,
            instance_id=instance.instance_id,
            old=instance.health,
            new=health,
            note=note,
        )
    )
    instance.health = health


def _set_version(service: Service, instance: Instance, version: str) -> None:
    instance.version = version
    _note_version(service, version, instance_id=instance.instance_id)


def _save_change(service: Service, *, now: dt.datetime) -> None:
    service.updated_at = now
    service.revision = F("revision") + 1
    service.save()
    service.refresh_from_db(fields=["revision"])


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The answer to a ScaiControl heartbeat."""

    slug: str
    status: str
    health_status: str
    heartbeat_interval_seconds: int


def renew_profile(
    slug: str,
    *,
    report: str,
    by: Caller,
    now: dt.datetime,
    instance_id: str = DEFAULT_INSTANCE,
    version: str | None = None,
    note: str | None = None,
) -> Standing:
    """Record a ScaiControl heartbeat: ``report`` is ``healthy``, ``degraded`` or ``unhealthy``.

    What was degraded is active again, what had expired is back. Raises ServiceNotFound.
    """
    service_health, health = HEALTH_OF_REPORT[report]
    known = directory.find(slug)
    if known is not None:
        accounts.check_may_change(by, slug, owner_id=known.account_id)
        entry = known.instances.get(instance_id) or known.instances.get(DEFAULT_INSTANCE)
        beat = Beat(
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
            and not _is_news(beat, entry)
        )
        if is_quiet and presence.renew([presence.member_of(slug, beat.instance_id)]) != [0]:
            return Standing(
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
) -> Standing:
    service_health, health = HEALTH_OF_REPORT[report]
    with transaction.atomic(durable=True):
        service = _locked(slug)
        accounts.check_may_change(by, slug, owner_id=service.account_id)
        instance = _beating_instance(service, instance_id)
        if instance is not None:
            _revive(service, instance, now=now)
            _set_health(service, instance, health, note=note or "")
            instance.note = note if note is not None else instance.note
            if version is not None:
                _set_version(service, instance, version)
            instance.save()
        elif version is not None:
            _note_version(service, version)
        if service.status == Service.Status.DEGRADED:
            service.status = Service.Status.ACTIVE
            events.publish(events.service_recovered(slug))
        service.health_status = service_health
        service.consecutive_misses = 0
        service.last_heartbeat_at = now
        _save_change(service, now=now)
        renewed = [(instance.instance_id, instance.ttl_seconds)] if instance else []
        projection.schedule(service, renewed=renewed)
    return Standing(
        slug=slug,
        status=service.status,
        health_status=service.health_status,
        heartbeat_interval_seconds=service.heartbeat_interval_seconds,
    )


def _beating_instance(service: Service, instance_id: str) -> Instance | None:
    """Return the instance that speaks; ScaiControl clients may name one that never registered."""
    known = {row.instance_id: row for row in service.instances.all()}
    return known.get(instance_id) or known.get(DEFAULT_INSTANCE)


def _revive(service: Service, instance: Instance, *, now: dt.datetime) -> None:
    instance.last_heartbeat_at = now
    if instance.state != Instance.State.LIVE:
        instance.state, instance.gone_at = Instance.State.LIVE, None
        events.publish(events.service_recovered(service.name, instance_id=instance.instance_id))


def _locked(name: str) -> Service:
    """Return the locked row of a registered service; raises ServiceNotFound."""
    service = Service.objects.registered().select_for_update().filter(name=name).first()
    if service is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return service


# --- Leaving --------------------------------------------------------------------------------------


def deregister(
    name: str,
    *,
    by: Caller | None,
    now: dt.datetime,
    instance_id: str | None = None,
    reason: str = "",
    is_blocked_by_subscriptions: bool = False,
) -> None:
    """Take a service, or one of its instances, out of the registry.

    Raises ServiceNotFound where it is not registered, HasSubscriptions where those count and there are any.
    """
    with transaction.atomic(durable=True):
        service = _locked(name)
        accounts.check_may_change(by, name, owner_id=service.account_id)
        if is_blocked_by_subscriptions:
            _check_no_subscriptions(service)
        live = service.instances.live()
        leaving = live if instance_id is None else live.filter(instance_id=instance_id)
        gone = list(leaving.values_list("instance_id", flat=True))
        if instance_id is not None and not gone:
            raise errors.ServiceNotFound(f"Instance '{instance_id}' of service '{name}' not found")
        leaving.update(state=Instance.State.DEREGISTERED, gone_at=now)
        if not service.instances.live().exists():
            service.status = Service.Status.DEREGISTERED
            service.status_reason = reason
        _save_change(service, now=now)
        events.publish(events.service_deregistered(name, instance_ids=gone, reason=reason))
        projection.schedule(service, dropped=gone)


def _check_no_subscriptions(service: Service) -> None:
    count = service.subscriptions.exclude(state=Subscription.State.CANCELLED).count()
    if count:
        raise errors.HasSubscriptions(
            f"Service '{service.name}' has {count} active subscription{'s' if count > 1 else ''};"
            " cancel them first."
        )


# --- Approval -------------------------------------------------------------------------------------


def approve(name: str, *, by: str, now: dt.datetime) -> None:
    """Let a service into lookups; raises IllegalMove where it is not waiting or rejected."""
    Status = Service.Status
    _decide(
        name,
        to=Status.ACTIVE,
        legal=(Status.PENDING_APPROVAL, Status.REJECTED),
        changes={"approved_at": now, "approved_by": by, "status_reason": ""},
        fact=events.service_approved(name, by=by),
        now=now,
    )


def reject(name: str, *, by: str, reason: str, now: dt.datetime) -> None:
    """Keep a service out of lookups, with a reason; raises IllegalMove from any other status."""
    Status = Service.Status
    _decide(
        name,
        to=Status.REJECTED,
        legal=(Status.PENDING_APPROVAL, Status.ACTIVE, Status.DEGRADED),
        changes={"approved_at": None, "approved_by": "", "status_reason": reason},
        fact=events.service_rejected(name, by=by, reason=reason),
        now=now,
    )


def _decide(
    name: str,
    *,
    to: Service.Status,
    legal: Iterable[Service.Status],
    changes: dict[str, Any],
    fact: events.Fact,
    now: dt.datetime,
) -> None:
    with transaction.atomic(durable=True):
        service = _locked(name)
        moved = Service.objects.filter(pk=service.pk, status__in=list(legal)).update(
            status=to, updated_at=now, revision=F("revision") + 1, **changes
        )
        if not moved:
            raise errors.IllegalMove(
                f"Service '{name}' is {service.status}; it cannot become {to}."
            )
        service.refresh_from_db()
        events.publish(fact)
        projection.schedule(service)


# --- For the apps above ---------------------------------------------------------------------------


def ensure_service(name: str, *, by: Caller | None = None) -> Service:
    """Return the service, known or not yet registered (its first deployment may come before it)."""
    names.check_service_name(name)
    now = timezone.now()
    owner = by.account if by is not None and by.account.pk else None
    Service.objects.bulk_create(
        [
            Service(
                name=name,
                status=Service.Status.DEREGISTERED,
                heartbeat_interval_seconds=settings.HEARTBEAT_INTERVAL,
                account=owner,
                registered_at=now,
                updated_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    service = Service.objects.get(name=name)
    accounts.check_may_change(by, name, owner_id=service.account_id)
    return service


def record_health(
    name: str, *, status: str, at: dt.datetime, note: str = "", instance_id: str | None = None
) -> None:
    """Record what a service (or somebody who watches it) says of its health.

    ``status`` is ``healthy``, ``degraded`` or ``unhealthy``; it shows in both dialects. Raises ServiceNotFound.
    """
    service_health, health = HEALTH_OF_REPORT[status]
    with transaction.atomic():
        service = _locked(name)
        instances = service.instances.live()
        if instance_id is not None:
            instances = instances.filter(instance_id=instance_id)
        for instance in instances:
            _set_health(service, instance, health, note=note)
            instance.note = note
            instance.save(update_fields=["health", "note"])
        service.health_status = service_health
        _save_change(service, now=at)
        projection.schedule(service)


def record_version(
    name: str, *, version: str, at: dt.datetime, instance_id: str | None = None
) -> None:
    """Record which version a service says it runs; raises ServiceNotFound."""
    names.check_version(version)
    with transaction.atomic():
        service = _locked(name)
        instances = service.instances.live()
        if instance_id is not None:
            instances = instances.filter(instance_id=instance_id)
        instances.update(version=version)
        _note_version(service, version, instance_id=instance_id)
        _save_change(service, now=at)
        projection.schedule(service)


def set_draining(name: str, instance_id: str, *, is_draining: bool) -> None:
    """Take an instance out of lookups while it is worked on, or put it back; absent ones are left."""
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=name).first()
        if service is None:
            return
        changed = service.instances.filter(instance_id=instance_id).update(is_draining=is_draining)
        if changed:
            _save_change(service, now=timezone.now())
            projection.schedule(service)


def set_canary(name: str, *, version: str, percent: int) -> None:
    """Let ``resolve`` give instances of ``version`` that share of its answers."""
    _write_canary(name, version=version, percent=percent)


def clear_canary(name: str) -> None:
    _write_canary(name, version="", percent=None)


def _write_canary(name: str, *, version: str, percent: int | None) -> None:
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=name).first()
        if service is None:
            return
        service.canary_version, service.canary_percent = version, percent
        _save_change(service, now=timezone.now())
        projection.schedule(service)
