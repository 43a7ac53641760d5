"""New services, many at once: one statement, one commit, one trip to Redis.

What a commit costs is the same for one and for a hundred. A name that is taken after all is left to
``registration.register``, which knows how to come back, to take over and to change.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from django.conf import settings
from django.db import connection

from registry import events, presence
from registry.directory import projection
from registry.identity.accounts import Caller
from registry.models import Event, Instance, Service
from registry.operations import registration
from registry.operations.registration import Registered, Registration
from saga_project.shared.database import bulk, faults


@dataclass(frozen=True, slots=True)
class NewRegistration:
    registration: Registration
    by: Caller | None


def register_new(
    new_registrations: Sequence[NewRegistration], *, now: dt.datetime
) -> list[Registered | None]:
    """Register services with free names durably; None stands for each taken name.

    The callers may do so: of a name that is free, ``accounts.check_may_change`` asks nothing of the database.
    """
    wanted = {each.registration.service_name: each for each in reversed(new_registrations)}
    # In one order: two processes that take the same names must not wait for each other.
    services = [_service(wanted[name], now=now) for name in sorted(wanted)]
    instances = [_instance(service, wanted[service.name], now=now) for service in services]
    taken = _insert(services, instances, now=now)
    mine = [instance for instance in instances if instance.service.name in taken]
    projection.show_new(mine)
    presence.wake_readers()
    registered = {
        id(wanted[instance.service.name]): registration.as_answered(instance.service, instance)
        for instance in mine
    }
    return [registered.get(id(new_registration)) for new_registration in new_registrations]


@faults.retry_conflict
def _insert(services: list[Service], instances: list[Instance], *, now: dt.datetime) -> set[str]:
    """Write services that were not there, with an instance and an event each; return their names."""
    drafts = map(registration.registered_draft, instances)
    documents = [
        bulk.document(services),
        bulk.document(instances),
        orjson.dumps([service.name for service in services]).decode(),
        bulk.document(events.rows_of(drafts, now=now)),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_statement(), documents)
        return {name for (name,) in cursor.fetchall()}


@functools.cache
def _statement() -> str:
    """Return one statement for all three tables, which is a transaction by itself.

    Three of them in a transaction of theirs are five trips to PostgreSQL, and cost more than the rows.
    """
    instance, event = (bulk.quoted([model._meta.db_table]) for model in (Instance, Event))
    placed = [name for name in bulk.columns(Instance) if name != "service_id"]
    columns = bulk.columns(Event)
    # The names are the models' own.
    return f"""
        WITH taken AS (
            {bulk.insertion(Service)} ON CONFLICT DO NOTHING RETURNING id, name
        ), placed AS (
            INSERT INTO {instance} (service_id, {bulk.quoted(placed)})
            SELECT taken.id, {bulk.quoted(placed, table="given")}
            FROM ROWS FROM ({bulk.rows_of(Instance)}, json_array_elements_text(%s::json)) AS given
            JOIN taken ON taken.name = given.value
        ), event AS (
            INSERT INTO {event} ({bulk.quoted(columns)})
            SELECT {bulk.quoted(columns, table="given")}
            FROM {bulk.rows_of(Event)} AS given JOIN taken ON taken.name = given.service_name
        )
        SELECT name FROM taken
    """  # noqa: S608


def _service(new_registration: NewRegistration, *, now: dt.datetime) -> Service:
    service = bulk.make(
        Service,
        service_id=uuid.uuid4(),
        name=new_registration.registration.service_name,
        status=Service.Status.DEREGISTERED,
        heartbeat_interval_seconds=settings.HEARTBEAT_INTERVAL,
        version=new_registration.registration.version,
        registered_at=now,
        revision=0,
    )
    registration.take(service, by=new_registration.by, now=now, is_saga=True)
    return service


def _instance(service: Service, new_registration: NewRegistration, *, now: dt.datetime) -> Instance:
    instance = bulk.make(
        Instance,
        instance_id=new_registration.registration.instance_id,
        **registration.instance_values(new_registration.registration, now=now),
    )
    instance.service = service
    return instance
