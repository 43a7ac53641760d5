"""An instance registers, in the Saga dialect, or renews itself where nothing differs."""

from __future__ import annotations

import datetime as dt
import fnmatch
import operator
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings
from django.db import transaction

from registry import directory, events, presence
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Instance, Service, ServiceAccount, Subscription
from registry.operations import lifecycle, rows
from saga_project.shared import timestamps, transitions
from saga_project.shared.database import faults


@dataclass(frozen=True, kw_only=True)
class Registration:
    """The description of an instance in its registration."""

    service_name: str
    url: str
    capabilities: list[str] = field(default_factory=list)
    instance_id: str = rows.DEFAULT_INSTANCE
    version: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    health_check_url: str = ""
    weight: int = 1
    zone: str = ""
    ttl_seconds: int = 60


#: What a registration says of its instance; the row and the directory have the same names for it.
DESCRIPTION = tuple(
    each.name for each in fields(Registration) if each.name not in ("service_name", "instance_id")
)
_description = operator.attrgetter(*DESCRIPTION)


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The answer to a registration."""

    service_name: str
    service_id: str
    url: str
    registered_at: str
    capabilities: list[str]
    ttl_seconds: int


def register(registration: Registration, *, by: Caller | None, now: dt.datetime) -> Registered:
    """Register an instance, or renew it where nothing differs (then no row is written).

    Raises ServiceOwned where the service belongs to another account.
    """
    known = directory.find(registration.service_name)
    accounts.check_may_change(
        by,
        registration.service_name,
        owner_id=known.account_id if known else None,
        labels=known.labels if known else None,
    )
    same = known and same_instance(known, registration, by=by)
    if known and same and presence.renew([presence.member_of(known.name, same.instance_id)]) != [0]:
        return as_registered(known, same)
    return _register_anew(registration, by=by, now=now)


def same_instance(
    known: directory.ServiceEntry, registration: Registration, *, by: Caller | None
) -> directory.InstanceEntry | None:
    """Return the instance that is registered so already, so that renewing it is all there is to do."""
    instance = known.instances.get(registration.instance_id)
    is_taken_over = by is not None and by.owner is not None and known.account_id is None
    if instance is None or is_taken_over or known.status != Service.Status.ACTIVE:
        return None
    return instance if _is_same(instance, registration) else None


def as_registered(known: directory.ServiceEntry, instance: directory.InstanceEntry) -> Registered:
    return Registered(
        service_name=known.name,
        service_id=known.service_id,
        url=instance.url,
        registered_at=instance.registered_at,
        capabilities=instance.capabilities,
        ttl_seconds=instance.ttl_seconds,
    )


def _is_same(instance: directory.InstanceEntry, registration: Registration) -> bool:
    return bool(_description(instance) == _description(registration))


@faults.retry_conflict
def _register_anew(
    registration: Registration, *, by: Caller | None, now: dt.datetime
) -> Registered:
    with transaction.atomic(durable=True):
        service = claim(registration.service_name, by=by, now=now, is_saga=True)
        service.heartbeat_interval_seconds = (
            service.heartbeat_interval_seconds or settings.HEARTBEAT_INTERVAL
        )
        if registration.version:
            rows.note_version(service, registration.version)
        service.save()
        instance = put_instance(service, registration, now=now)
        projection.schedule(service, renewed=[(instance.instance_id, instance.ttl_seconds)])
    return as_answered(service, instance)


def as_answered(service: Service, instance: Instance) -> Registered:
    return Registered(
        service_name=service.name,
        service_id=str(service.service_id),
        url=instance.url,
        registered_at=timestamps.iso(instance.registered_at),
        capabilities=instance.capabilities,
        ttl_seconds=instance.ttl_seconds,
    )


def claim(name: str, *, by: Caller | None, now: dt.datetime, is_saga: bool) -> Service:
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
    service = Service.objects.select_for_update(no_key=True).get(name=name)
    accounts.check_may_change(by, name, owner_id=service.account_id)
    owner = by.owner if by is not None else None
    if owner is not None and service.account_id is None and service.revision:
        _take_over(service, owner, now=now)
    take(service, by=by, now=now, is_saga=is_saga)
    return service


def _take_over(service: Service, owner: ServiceAccount, *, now: dt.datetime) -> None:
    """Drop what others left at a service without an owner, before the account owns it.

    The receivers of the event drop what the apps above keep, in the same transaction.
    """
    others = service.subscriptions.exclude(state=Subscription.State.CANCELLED).exclude(
        account=owner
    )
    dropped = [str(key) for key in others.order_by("pk").values_list("pk", flat=True)]
    cancelled = Subscription.State.CANCELLED
    transitions.move_rows(others, cancelled, updated_at=now)
    events.publish(
        events.service_taken_over(service.name, account=owner.name, subscriptions=dropped)
    )


def take(service: Service, *, by: Caller | None, now: dt.datetime, is_saga: bool) -> None:
    """Allow a service to register again, in the name of an authorised caller."""
    if by is not None and by.owner is not None and service.account_id is None:
        service.account = by.owner
    is_trusted = _is_trusted(service.name, by=by, is_saga=is_saga)
    was_degraded = service.status == Service.Status.DEGRADED
    lifecycle.enter(service, is_trusted=is_trusted, now=now)
    if was_degraded:
        events.publish(events.service_recovered(service.name))
    service.consecutive_misses = 0
    service.last_heartbeat_at = now
    service.updated_at = now
    service.revision += 1


def _is_trusted(name: str, *, by: Caller | None, is_saga: bool) -> bool:
    """Return whether a service needs no approval."""
    if by is not None and by.account.is_internal:
        return True
    if any(fnmatch.fnmatchcase(name, glob) for glob in settings.SAGA_INTERNAL_SERVICES):
        return True
    return is_saga and settings.SAGA_AUTO_APPROVE


def put_instance(service: Service, registration: Registration, *, now: dt.datetime) -> Instance:
    """Write a registered instance; one that is live keeps its health, which heartbeats and reports change."""
    values = instance_values(registration, now=now)
    before = service.instances.filter(instance_id=registration.instance_id).first()
    if (
        before is not None
        and before.state == Instance.State.LIVE
        and not _publish_expired(service, before)
    ):
        values |= {"health": before.health, "note": before.note}
    is_replaced = before is not None and before.version != registration.version
    instance = before or Instance(service=service, instance_id=registration.instance_id)
    transitions.set_state(instance, Instance.State.LIVE)
    for name, value in values.items():
        setattr(instance, name, value)
    instance.save(update_fields=None if before is None else ["state", *values])
    events.publish(registered_draft(instance))
    if is_replaced:
        rows.send_replaced(service, now=now)
    return instance


def instance_values(registration: Registration, *, now: dt.datetime) -> dict[str, Any]:
    """Return what the row of an instance that registers now holds beside its name."""
    return {
        **{name: getattr(registration, name) for name in DESCRIPTION},
        "health": Instance.Health.PASSING,
        "note": "",
        "registered_at": now,
        "last_heartbeat_at": now,
        "gone_at": None,
    }


def registered_draft(instance: Instance) -> events.EventDraft:
    return events.service_registered(
        instance.service.name,
        instance_id=instance.instance_id,
        url=instance.url,
        version=instance.version,
        capabilities=instance.capabilities,
    )


def _publish_expired(service: Service, instance: Instance) -> bool:
    """An instance that comes back before the sweep wrote its expiry down did expire all the same."""
    member = presence.member_of(service.name, instance.instance_id)
    if member not in presence.expiring():
        return False
    events.publish(
        events.service_expired(
            service.name,
            instance_id=instance.instance_id,
            last_heartbeat_at=timestamps.iso(instance.last_heartbeat_at),
        )
    )
    return True
