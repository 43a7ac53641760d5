"""What people write down about a service."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from registry import errors
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service
from registry.operations import configured
from registry.operations.configured import Precondition
from saga_project.shared import auditing

MAX_NOTES = 20_000


def set_notes(
    name: str,
    notes: str,
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Precondition = configured.no_precondition,
) -> Service:
    """Return the service with these notes; ``precondition`` may refuse the locked row.

    Raises ServiceNotFound, ServiceOwned, ServiceNotGranted.
    """
    with transaction.atomic(durable=True):
        service = Service.objects.select_for_update(no_key=True).filter(name=name).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        accounts.check_may_change(by, name, owner_id=service.account_id)
        precondition(service)
        before, service.notes = service.notes, notes
        if before != notes:
            Service.objects.filter(pk=service.pk).update(notes=notes)
            auditing.record(
                "service.notes_changed",
                actor=configured.actor_of(by),
                service_name=name,
                data={"before": {"notes": before}, "after": {"notes": notes}},
                at=now,
            )
    return service
