"""The lifecycle of a service: every change of ``Service.status``.

The functions change a service that the caller has locked and saves; ``decide`` writes by itself. What is
allowed stands in ``Service.MOVES``.
"""

from __future__ import annotations

import datetime as dt

from django.db.models import F

from registry.models import Service
from saga_project.shared import transitions

Status = Service.Status


def enter(service: Service, *, is_trusted: bool, now: dt.datetime) -> None:
    """Apply a registration: a deregistered service returns, a degraded one recovers.

    A trusted service needs no approval by staff.
    """
    if service.status == Status.DEREGISTERED:
        service.registered_at = now
        service.health_status = Service.Health.HEALTHY
        to = Status.ACTIVE if service.approved_at else Status.PENDING_APPROVAL
        transitions.set_state(service, to)
    recover(service, health=Service.Health.HEALTHY)
    if service.status == Status.PENDING_APPROVAL and is_trusted:
        transitions.set_state(service, Status.ACTIVE)
        service.approved_at = now
        service.is_auto_approved = True


def recover(service: Service, *, health: Service.Health | None = None) -> bool:
    """Make a degraded service active again; returns False where it is not degraded."""
    if service.status != Status.DEGRADED:
        return False
    transitions.set_state(service, Status.ACTIVE)
    if health is not None:
        service.health_status = health
    return True


def degrade(service: Service) -> bool:
    """Mark an active service as degraded; returns False where it is degraded already."""
    if service.status == Status.DEGRADED:
        return False
    transitions.set_state(service, Status.DEGRADED)
    service.health_status = Service.Health.DEGRADED
    return True


def deregister(service: Service, *, reason: str) -> None:
    """Mark a service without live instances as deregistered."""
    if service.status != Status.DEREGISTERED:
        transitions.set_state(service, Status.DEREGISTERED)
    service.status_reason = reason


def decide(service: Service, to: Service.Status, *, now: dt.datetime, **changes: object) -> bool:
    """Write what staff decided; returns False where the status does not allow it."""
    return transitions.move(service, to, updated_at=now, revision=F("revision") + 1, **changes)
