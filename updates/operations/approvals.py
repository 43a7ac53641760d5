"""Staff's word on releases that policy, or one of them, asked about."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from registry import events
from registry.models import Service
from saga_project.shared import wakeups
from updates import errors, event_constructors
from updates.history import audit
from updates.models import Approval, Release
from updates.operations import jobs
from updates.policies import change_freeze, preview
from updates.releases import recording


def request(release: Release, *, by: str, strategy: str, now: dt.datetime) -> Approval:
    """Request a deployment that a second person must approve. Raises ApprovalPending."""
    with transaction.atomic(durable=True):
        # One at a time a service, so that two people do not both ask.
        service = Service.objects.select_for_update(no_key=True).get(pk=release.service_id)
        pending = Approval.objects.filter(service=service, state=Approval.State.PENDING)
        if pending.exclude(requested_by="").exists():
            raise errors.ApprovalPending("Somebody asked already; that waits for an answer.")
        pending.update(state=Approval.State.SUPERSEDED, decided_at=now)
        approval = Approval.objects.create(
            service=service, release=release, requested_at=now, requested_by=by, strategy=strategy
        )
        events.publish(event_constructors.update_waits(service.name, version=release.version))
        data = {"version": release.version, "strategy": strategy}
        audit.record("update.requested", actor=by, service_name=service.name, data=data, at=now)
    return approval


def approve(
    approval: Approval,
    *,
    by: str,
    reason: str = "",
    override: change_freeze.Override | None = None,
    now: dt.datetime,
) -> None:
    """Let the release be deployed: at once where a person asked, else when policy and calendar allow.

    Raises ApprovalDecided, OwnRequest where two persons are asked for, and what deploying raises.
    """
    with transaction.atomic(durable=True):
        is_for_two = preview.policy_of(approval.service).requires_second_person
        if is_for_two and approval.requested_by == by:
            raise errors.OwnRequest("You asked for it yourself; somebody else must approve it.")
        _decide(approval, to=Approval.State.APPROVED, by=by, reason=reason, now=now)
        if approval.requested_by:
            _deploy(approval, override)


def reject(approval: Approval, *, by: str, reason: str, now: dt.datetime) -> None:
    """Keep the release from being deployed by policy, for good. Raises ApprovalDecided."""
    with transaction.atomic(durable=True):
        _decide(approval, to=Approval.State.REJECTED, by=by, reason=reason, now=now)


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
    wakeups.ring("updates.apply_policy", approval.service_id)


def _deploy(approval: Approval, override: change_freeze.Override | None) -> None:
    policy = preview.policy_of(approval.service)
    by = f"{approval.requested_by}, approved by {approval.decided_by}"
    job = jobs.deploy(
        approval.service,
        recording.Announcement(version=approval.release.version),
        by=by[:255],
        strategy=approval.strategy or policy.strategy,
        options=policy.strategy_options,
        override=override,
    )
    Approval.objects.filter(pk=approval.pk).update(job_id=job.job_id)
