"""Services that nobody has heard of before, many at once: one transaction, one commit, one trip to Redis.

What a commit costs is the same for one and for a hundred. A name that is taken after all is left to
``registration.register``, which knows how to come back, to take over and to change.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from registry import bulk, events, projection
from registry.accounts import Caller
from registry.models import Instance, Service
from registry.operations import registration
from registry.operations.registration import Registered, Registration


@dataclass(frozen=True, slots=True)
class Newcomer:
    registration: Registration
    by: Caller | None


def register_new(newcomers: Sequence[Newcomer], *, now: dt.datetime) -> list[Registered | None]:
    """Register those whose names are free, durably; None stands for each whose name is taken.

    The callers may do so: of a name that is free, ``accounts.check_may_change`` asks nothing of the database.
    """
    wanted = {each.registration.service_name: each for each in reversed(newcomers)}
    # In one order: two processes that take the same names must not wait for each other.
    services = [_service(wanted[name], now=now) for name in sorted(wanted)]
    with transaction.atomic(durable=True):
        mine = _insert(services)
        instances = [_instance(service, wanted[service.name], now=now) for service in mine]
        bulk.insert(instances, returning=["id"])
        events.publish(*map(registration.registered_fact, instances))
        projection.schedule_new(mine, instances)
    registered = {
        id(wanted[service.name]): registration.as_answered(service, instance)
        for service, instance in zip(mine, instances, strict=True)
    }
    return [registered.get(id(newcomer)) for newcomer in newcomers]


def _insert(services: list[Service]) -> list[Service]:
    """Return those that were not there, with their primary keys."""
    keys = dict(bulk.insert(services, returning=["name", "id"]))
    for service in services:
        service.pk = keys.get(service.name)
    return [service for service in services if service.pk is not None]


def _service(newcomer: Newcomer, *, now: dt.datetime) -> Service:
    service = Service(
        service_id=uuid.uuid4(),
        name=newcomer.registration.service_name,
        status=Service.Status.DEREGISTERED,
        heartbeat_interval_seconds=settings.HEARTBEAT_INTERVAL,
        version=newcomer.registration.version,
        registered_at=now,
        revision=0,
    )
    registration.take(service, by=newcomer.by, now=now, is_saga=True)
    return service


def _instance(service: Service, newcomer: Newcomer, *, now: dt.datetime) -> Instance:
    return Instance(
        service=service,
        instance_id=newcomer.registration.instance_id,
        **registration.instance_values(newcomer.registration, now=now),
    )
