"""Maintenance: staff take a service, or one instance of it, out of the lookups and put it back.

It is apart from what a deployment drains: the end of a deployment puts nothing back that staff took out. It
outlives restarts and registrations of the instance.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction

from registry import errors, events
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Instance, Service
from registry.operations import rows
from registry.operations.configured import actor_of
from saga_project.shared import auditing


def begin(
    name: str, *, instance_id: str | None, reason: str, by: Caller | None, now: dt.datetime
) -> Service:
    """Take a service, or one instance, out of the lookups; once more, only the reason changes.

    Raises ServiceNotFound, InstanceNotFound and what ``accounts.check_may_change`` raises.
    """
    return _set(name, instance_id, since=now, reason=reason, by=by, now=now)


def end(name: str, *, instance_id: str | None, by: Caller | None, now: dt.datetime) -> Service:
    """Put a service, or one instance, back in the lookups; nothing changes where it is in them."""
    return _set(name, instance_id, since=None, reason="", by=by, now=now)


def _set(
    name: str,
    instance_id: str | None,
    *,
    since: dt.datetime | None,
    reason: str,
    by: Caller | None,
    now: dt.datetime,
) -> Service:
    with transaction.atomic(durable=True):
        service = Service.objects.select_for_update(no_key=True).filter(name=name).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        accounts.check_may_change(by, name, owner_id=service.account_id)
        row = service if instance_id is None else _instance(service, instance_id)
        known = row.maintenance_since
        if (known is None) == (since is None) and row.maintenance_reason == reason:
            return service
        row.maintenance_since = (known or since) if since else None
        row.maintenance_reason = reason
        if isinstance(row, Instance):
            row.save(update_fields=["maintenance_since", "maintenance_reason"])
        rows.save_change(service, now=now)
        draft = events.maintenance_changed(
            name,
            instance_id=instance_id,
            has_begun=since is not None,
            by=actor_of(by),
            reason=reason,
        )
        if (known is None) != (since is None):
            events.publish(draft)
        data: dict[str, Any] = {"instance_id": instance_id, "reason": reason}
        auditing.record(draft.type, actor=actor_of(by), service_name=name, data=data, at=now)
        projection.schedule(service)
    return service


def _instance(service: Service, instance_id: str) -> Instance:
    row = service.instances.select_for_update().filter(instance_id=instance_id).first()
    if row is None:
        raise errors.InstanceNotFound(
            f"Instance '{instance_id}' of service '{service.name}' not found"
        )
    return row
