"""Event constructors of the registry, and how events are published with their change.

``publish`` writes the rows and sends the one Signal. Its receivers add rows to the same transaction
(deliveries, history); after the commit a message wakes waiting readers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from registry import presence
from registry.events import event_types
from registry.models import Event
from saga_project.shared.database import bulk

#: Sent with ``events``: the list of Event rows just written, inside their transaction. Not of services that
#: were unknown before (``operations.registration_batch``): no subscription can name them yet.
published = Signal()
#: Sent with ``service_name`` and ``at`` once the row of a live instance holds another version than before,
#: inside the transaction.
instance_replaced = Signal()
#: Sent in the transaction that deregisters a service; receivers return sentences about work that continues.
service_leaving = Signal()


@dataclass(frozen=True, kw_only=True)
class EventDraft:
    """One thing that happened; ``data`` is JSON of the shape of its type and holds no secret."""

    type: str
    service_name: str
    data: Mapping[str, object] = field(default_factory=dict)
    occurred_at: dt.datetime | None = None


def publish(*drafts: EventDraft) -> list[Event]:
    """Write the drafts as events and send the signal; must run inside the operation's transaction."""
    if not drafts:
        return []
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "An event is published in the transaction of its change."
        )
    return _publish(drafts, now=timezone.now())


def _publish(drafts: Sequence[EventDraft], *, now: dt.datetime) -> list[Event]:
    rows = rows_of(drafts, now=now)
    for row, (key, number) in zip(
        rows, bulk.insert(rows, returning=["id", "transaction"]), strict=True
    ):
        row.pk, row.transaction = key, number
    published.send(sender=Event, events=rows)
    transaction.on_commit(presence.wake_readers)
    return rows


def rows_of(drafts: Iterable[EventDraft], *, now: dt.datetime) -> list[Event]:
    """Return the drafts as unsaved Event rows."""
    return [
        bulk.make(
            Event,
            type=draft.type,
            service_name=draft.service_name,
            data=draft.data,
            occurred_at=draft.occurred_at or now,
        )
        for draft in drafts
    ]


# --- The registry's events -------------------------------------------------------------------------


def service_registered(
    name: str, *, instance_id: str, url: str, version: str, capabilities: list[str]
) -> EventDraft:
    data: event_types.RegisteredData = {
        "instance_id": instance_id,
        "service_url": url,
        "version": version or None,
        "capabilities": capabilities,
    }
    return EventDraft(type="service.registered", service_name=name, data=data)


def service_deregistered(name: str, *, instance_ids: list[str], reason: str = "") -> EventDraft:
    data: event_types.DeregisteredData = {"instances": instance_ids, "reason": reason or None}
    return EventDraft(type="service.deregistered", service_name=name, data=data)


def service_expired(name: str, *, instance_id: str, last_heartbeat_at: str) -> EventDraft:
    data: event_types.ExpiredData = {
        "instance_id": instance_id,
        "last_heartbeat": last_heartbeat_at,
    }
    return EventDraft(type="service.expired", service_name=name, data=data)


def service_taken_over(name: str, *, account: str, subscriptions: list[str]) -> EventDraft:
    """An account owns a service that had no owner; what others left there was dropped."""
    data: event_types.TakenOverData = {"account": account, "dropped_subscriptions": subscriptions}
    return EventDraft(type="service.taken_over", service_name=name, data=data)


def service_suspect(name: str, *, instance_id: str) -> EventDraft:
    data: event_types.SuspectData = {"instance_id": instance_id}
    return EventDraft(type="service.suspect", service_name=name, data=data)


def service_degraded(name: str, *, misses: int) -> EventDraft:
    data: event_types.MissedHeartbeatsData = {"consecutive_misses": misses}
    return EventDraft(type="service.degraded", service_name=name, data=data)


def service_unreachable(name: str, *, misses: int) -> EventDraft:
    data: event_types.MissedHeartbeatsData = {"consecutive_misses": misses}
    return EventDraft(type="service.unreachable", service_name=name, data=data)


def service_recovered(name: str, *, instance_id: str | None = None) -> EventDraft:
    data: event_types.RecoveredData = {"instance_id": instance_id}
    return EventDraft(type="service.recovered", service_name=name, data=data)


def service_version_changed(
    name: str, *, old: str, new: str, instance_id: str | None = None
) -> EventDraft:
    data: event_types.VersionChangedData = {
        "old_version": old or None,
        "new_version": new,
        "instance_id": instance_id,
    }
    return EventDraft(type="service.version_changed", service_name=name, data=data)


def service_approved(name: str, *, by: str) -> EventDraft:
    data: event_types.ServiceApprovedData = {"by": by}
    return EventDraft(type="service.approved", service_name=name, data=data)


def service_rejected(name: str, *, by: str, reason: str) -> EventDraft:
    data: event_types.ServiceRejectedData = {"by": by, "reason": reason}
    return EventDraft(type="service.rejected", service_name=name, data=data)


def maintenance_changed(
    name: str, *, instance_id: str | None, has_begun: bool, by: str, reason: str
) -> EventDraft:
    data: event_types.MaintenanceData = {
        "instance_id": instance_id,
        "by": by,
        "reason": reason or None,
    }
    word = "began" if has_begun else "ended"
    return EventDraft(type=f"service.maintenance_{word}", service_name=name, data=data)


def health_changed(
    name: str, *, instance_id: str | None, old: str, new: str, note: str = ""
) -> EventDraft:
    data: event_types.HealthChangedData = {
        "instance_id": instance_id,
        "old": old,
        "new": new,
        "note": note or None,
    }
    return EventDraft(type="health.changed", service_name=name, data=data)


def check_changed(
    name: str, *, check: str, instance_id: str, old: str, new: str, reason: str
) -> EventDraft:
    """A check found an instance critical, or passing again."""
    data: event_types.CheckChangedData = {
        "check": check,
        "instance_id": instance_id,
        "old": old,
        "new": new,
        "reason": reason or None,
    }
    kind = "check.failed" if new == "critical" else "check.recovered"
    return EventDraft(type=kind, service_name=name, data=data)


def certificate_expires(name: str, *, check: str, instance_id: str, expires_at: str) -> EventDraft:
    data: event_types.CertificateExpiresData = {
        "check": check,
        "instance_id": instance_id,
        "expires_at": expires_at,
    }
    return EventDraft(type="check.certificate_expires", service_name=name, data=data)


# --- The registry itself: events of no service ----------------------------------------------------


def protection_began(*, suspects: int, instances: int) -> EventDraft:
    """Too many instances are overdue at once: they are held back from expiring."""
    data: event_types.ProtectionBeganData = {"suspects": suspects, "instances": instances}
    return EventDraft(type="protection.began", service_name="", data=data)


def protection_ended(*, instances: int) -> EventDraft:
    data: event_types.ProtectionEndedData = {"instances": instances}
    return EventDraft(type="protection.ended", service_name="", data=data)


def token_expires(*, account: str, name: str, prefix: str, expires_at: str) -> EventDraft:
    """A token ends soon; its text is not part of it."""
    data: event_types.TokenExpiresData = {
        "account": account,
        "name": name or None,
        "prefix": prefix,
        "expires_at": expires_at,
    }
    return EventDraft(type="token.expires", service_name="", data=data)


def saga_problem(*, check: str, status: str, message: str) -> EventDraft:
    """``saga.degraded`` or ``saga.unhealthy``: what /health says of one check."""
    data: event_types.SagaProblemData = {"check": check, "message": message}
    return EventDraft(type=f"saga.{status}", service_name="", data=data)


def saga_recovered(*, check: str) -> EventDraft:
    data: event_types.SagaRecoveredData = {"check": check}
    return EventDraft(type="saga.recovered", service_name="", data=data)
