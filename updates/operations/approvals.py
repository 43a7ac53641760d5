"""Staff's word on releases that policy asked about."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from updates import audit, doorbell, errors
from updates.models import Approval


def approve(approval: Approval, *, by: str, reason: str = "", now: dt.datetime) -> None:
    """Let the release be deployed as soon as the calendar allows. Raises ApprovalDecided."""
    _decide(approval, to=Approval.State.APPROVED, by=by, reason=reason, now=now)


def reject(approval: Approval, *, by: str, reason: str, now: dt.datetime) -> None:
    """Keep the release from being deployed by policy, for good. Raises ApprovalDecided."""
    _decide(approval, to=Approval.State.REJECTED, by=by, reason=reason, now=now)


@transaction.atomic(durable=True)
def _decide(approval: Approval, *, to: str, by: str, reason: str, now: dt.datetime) -> None:
    decided = Approval.objects.filter(pk=approval.pk, state=Approval.State.PENDING).update(
        state=to, decided_at=now, decided_by=by, reason=reason
    )
    approval.refresh_from_db()
    if not decided:
        raise errors.ApprovalDecided(f"{approval.release} is {approval.state} already.")
    audit.record(
        f"update.{to}",
        actor=by,
        service_name=approval.service.name,
        data={"version": approval.release.version, "reason": reason},
        at=now,
    )
    doorbell.ring("updates.apply_policy", approval.service_id)
