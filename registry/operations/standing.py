"""A service's standing: deregistration, approval, rejection."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.db import transaction

from registry import errors, events
from registry.directory import projection
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Instance, Service, Subscription
from registry.operations import lifecycle, rows
from registry.operations.configured import actor_of
from saga_project.shared import auditing, transitions


def deregister(
    name: str,
    *,
    by: Caller | None,
    now: dt.datetime,
    instance_id: str | None = None,
    reason: str = "",
    is_blocked_by_subscriptions: bool = True,
) -> list[str]:
    """Take a service, or one of its instances, out of the registry; return what goes on nevertheless.

    Subscriptions keep a service from that; an instance may always leave. The audit trail records
    services only: instances come and go by themselves. Raises ServiceNotFound, HasSubscriptions.
    """
    with transaction.atomic(durable=True):
        service = rows.locked(name)
        accounts.check_may_change(by, name, owner_id=service.account_id)
        live = service.instances.live()
        leaving = live if instance_id is None else live.filter(instance_id=instance_id)
        gone = list(leaving.values_list("instance_id", flat=True))
        if instance_id is not None and not gone:
            raise errors.ServiceNotFound(f"Instance '{instance_id}' of service '{name}' not found")
        if is_blocked_by_subscriptions and instance_id is None:
            _check_no_subscriptions(service)
        transitions.move_rows(leaving, Instance.State.DEREGISTERED, gone_at=now)
        if not service.instances.live().exists():
            lifecycle.deregister(service, reason=reason)
        rows.save_change(service, now=now)
        events.publish(events.service_deregistered(name, instance_ids=gone, reason=reason))
        if instance_id is None:
            data = {"reason": reason, "instances": len(gone)}
            auditing.record(
                "service.deregistered", actor=actor_of(by), service_name=name, data=data, at=now
            )
        projection.schedule(service, dropped=gone)
        return _warnings(name) if instance_id is None else []


def _warnings(name: str) -> list[str]:
    answers = events.service_leaving.send(sender=Service, service_name=name)
    return [text for _, texts in answers for text in texts or ()]


def _check_no_subscriptions(service: Service) -> None:
    count = Subscription.objects.blocking().filter(service=service).count()
    if count:
        raise errors.HasSubscriptions(
            f"Service '{service.name}' has {count} active subscription{'s' if count > 1 else ''};"
            " cancel them first."
        )


def approve(name: str, *, by: str, now: dt.datetime) -> None:
    """Approve a service for lookups; raises IllegalMove unless it is pending or rejected."""
    _decide(
        name,
        to=Service.Status.ACTIVE,
        legal=(Service.Status.PENDING_APPROVAL, Service.Status.REJECTED),
        changes={"approved_at": now, "approved_by": by, "status_reason": ""},
        draft=events.service_approved(name, by=by),
        by=by,
        now=now,
    )


def reject(name: str, *, by: str, reason: str, now: dt.datetime) -> None:
    """Keep a service out of lookups, with a reason; raises IllegalMove from any other status."""
    _decide(
        name,
        to=Service.Status.REJECTED,
        legal=(Service.Status.PENDING_APPROVAL, Service.Status.ACTIVE, Service.Status.DEGRADED),
        changes={"approved_at": None, "approved_by": "", "status_reason": reason},
        draft=events.service_rejected(name, by=by, reason=reason),
        by=by,
        now=now,
    )


def _decide(
    name: str,
    *,
    to: Service.Status,
    legal: Collection[Service.Status],
    changes: dict[str, Any],
    draft: events.EventDraft,
    by: str,
    now: dt.datetime,
) -> None:
    with transaction.atomic(durable=True):
        service = rows.locked(name)
        before = service.status
        if service.status not in legal or not lifecycle.decide(service, to, now=now, **changes):
            raise errors.IllegalMove(
                f"Service '{name}' is {service.status}; it cannot become {to}."
            )
        service.refresh_from_db()
        events.publish(draft)
        auditing.record(
            draft.type,
            actor=by,
            service_name=name,
            data={"before": before, "after": to.value, "reason": service.status_reason},
            at=now,
        )
        projection.schedule(service)
