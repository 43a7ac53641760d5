"""Reports of the apps above: health, versions, drains, canaries, future services."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from registry import events, names
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Instance, Service
from registry.operations import rows


def ensure_service(name: str, *, by: Caller | None = None) -> Service:
    """Return the service, known or not yet registered (its first deployment may come before it)."""
    names.check_service_name(name)
    now = timezone.now()
    owner = by.owner if by is not None else None
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


def note_report(name: str, *, at: dt.datetime, now: dt.datetime) -> bool:
    """Return whether a report of that time is news; an older one than is known is not.

    A clock that runs ahead must not silence its service, so no time later than ``now`` is remembered.
    """
    is_news = Q(reported_at=None) | Q(reported_at__lte=at)
    return bool(Service.objects.filter(is_news, name=name).update(reported_at=min(at, now)))


def record_health(
    name: str, *, status: str, at: dt.datetime, note: str = "", instance_id: str | None = None
) -> None:
    """Record the health that a service or its monitor reported.

    ``status`` is ``healthy``, ``degraded`` or ``unhealthy``; it shows in both dialects.
    Raises ServiceNotFound.
    """
    service_health, health = rows.HEALTH_OF_REPORT[status]
    with transaction.atomic():
        service = rows.locked(name)
        instances = service.instances.live()
        if instance_id is not None:
            instances = instances.filter(instance_id=instance_id)
        live = list(instances)
        if not live and service.health_status != service_health:
            events.publish(
                events.health_changed(
                    name, instance_id=None, old=service.health_status, new=service_health, note=note
                )
            )
        for instance in live:
            rows.set_health(service, instance, health, note=note)
            instance.note = note
            instance.save(update_fields=["health", "note"])
        service.health_status = service_health
        rows.save_change(service, now=at)
        projection.schedule(service)


def record_version(
    name: str, *, version: str, at: dt.datetime, instance_id: str | None = None
) -> None:
    """Record which version a service says it runs; raises ServiceNotFound."""
    names.check_version(version)
    with transaction.atomic():
        service = rows.locked(name)
        instances = service.instances.live()
        if instance_id is not None:
            instances = instances.filter(instance_id=instance_id)
        instances.update(version=version)
        rows.note_version(service, version, instance_id=instance_id)
        rows.save_change(service, now=at)
        projection.schedule(service)


def set_draining(name: str, instance_id: str, *, is_draining: bool) -> None:
    """Take an instance out of lookups while it is worked on, or put it back; absent ones are left."""
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=name).first()
        if service is None:
            return
        changed = service.instances.filter(instance_id=instance_id).update(is_draining=is_draining)
        if changed:
            rows.save_change(service, now=timezone.now())
            projection.schedule(service)


def begin_rollout(name: str, *, version: str) -> None:
    """Have lookups of a live service pick by weight until the rollout of ``version`` has ended."""
    if Instance.objects.live().filter(service__name=name).exists():
        _write_canary(name, version=version, percent=None, is_robust=True)


def end_rollout(name: str) -> None:
    """Have lookups answer with the newest instance again; nothing is written where they do."""
    if Service.objects.filter(name=name).exclude(canary_version="").exists():
        _write_canary(name, version="", percent=None, is_robust=True)


def set_canary(name: str, *, version: str, percent: int | None) -> None:
    """Give instances of ``version`` that share of the lookups; without a share all are alike."""
    _write_canary(name, version=version, percent=percent)


def clear_canary(name: str) -> None:
    _write_canary(name, version="", percent=None)


def switch_instances(
    name: str, *, serving: Sequence[str], draining: Sequence[str], version: str
) -> None:
    """Put some instances in the lookups and take others out of them, in one change that readers see."""
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=name).first()
        if service is None:
            return
        service.instances.filter(instance_id__in=serving).update(is_draining=False)
        service.instances.filter(instance_id__in=draining).update(is_draining=True)
        service.canary_version, service.canary_percent = version, None
        rows.save_change(service, now=timezone.now())
        projection.schedule(service)


def _write_canary(name: str, *, version: str, percent: int | None, is_robust: bool = False) -> None:
    with transaction.atomic():
        service = Service.objects.select_for_update().filter(name=name).first()
        if service is None:
            return
        service.canary_version, service.canary_percent = version, percent
        rows.save_change(service, now=timezone.now())
        projection.schedule(service, is_robust=is_robust)
