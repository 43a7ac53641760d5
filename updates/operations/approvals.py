"""Staff's word on releases that policy, or one of them, asked about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from registry import events
from registry.models import Service, ServiceAccount
from saga_project.shared import transitions, wakeups
from updates import errors, event_constructors
from updates.history import audit, records
from updates.models import Approval, Job, Release
from updates.operations import jobs, rollback_targets, selections
from updates.policies import change_freeze, comparison
from updates.releases import recording
from updates.rollouts import strategies

#: The requesters of calls that name no account.
WEBHOOK, SIGNED_WEBHOOK = "webhook", "webhook (signed)"


def deploy_or_ask(
    service: Service,
    announcement: recording.Announcement,
    *,
    by: str,
    strategy: str = strategies.ROLLING,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS,
) -> Job | Approval:
    """Queue a deployment, or, where the policy wants a second person, ask for one. Raises as ``deploy``."""
    try:
        return jobs.deploy(
            service,
            announcement,
            by=by,
            strategy=strategy,
            options=options,
            details=details,
            exemptions=exemptions,
        )
    except errors.ApprovalRequired:
        with transaction.atomic():
            release = recording.record(service, announcement, origin="deployed")[0]
            return request(
                release,
                by=by,
                strategy=strategy,
                options=options,
                details=details,
                force_reason=exemptions.force_reason,
                now=timezone.now(),
            )


def roll_back_or_ask(
    service: Service,
    version: str | None = None,
    *,
    by: str,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS,
) -> Job | Approval:
    """The same for a rollback. Raises as ``roll_back``."""
    try:
        return jobs.roll_back(
            service, version, by=by, options=options, details=details, exemptions=exemptions
        )
    except errors.ApprovalRequired:
        with transaction.atomic():
            current = records.deployed_version(service.name)
            wanted = rollback_targets.choose(service, version, current=current)
            known = Release.objects.filter(service=service, version=wanted).first()
            backup = recording.Announcement(version=wanted)
            release = known or recording.record(service, backup, origin="backup")[0]
            kind = Job.Kind.ROLLBACK
            return request(
                release,
                by=by,
                strategy="",
                kind=kind,
                options=options,
                details=details,
                now=timezone.now(),
            )


def request(
    release: Release,
    *,
    by: str,
    strategy: str,
    kind: str = Job.Kind.DEPLOY,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    force_reason: str | None = None,
    now: dt.datetime,
) -> Approval:
    """Ask for a deployment or rollback that a second person must approve.

    The same again by the same requester is one request. Raises ApprovalPending for another one.
    """
    asked = {
        "release": release,
        "kind": kind,
        "requested_by": by,
        "strategy": strategy,
        "strategy_options": None if options is None else dict(options),
        "details": details.document(),
        "force_reason": force_reason or "",
    }
    with transaction.atomic():  # not durable: a webhook keeps its call in the same transaction
        # One at a time a service, so that two people do not both ask.
        service = Service.objects.select_for_update(no_key=True).get(pk=release.service_id)
        pending = Approval.objects.filter(service=service, state=Approval.State.PENDING)
        for known in pending.exclude(requested_by="").select_related("release"):
            if all(getattr(known, name) == value for name, value in asked.items()):
                return known
            raise errors.ApprovalPending(
                f"'{known.requested_by}' asked for {known.release.version} already; that waits for an answer."
            )
        transitions.move_rows(pending, Approval.State.SUPERSEDED, decided_at=now)
        approval = Approval.objects.create(service=service, requested_at=now, **asked)
        events.publish(event_constructors.update_waits(service.name, version=release.version))
        data = {"version": release.version, "strategy": strategy, "kind": str(kind)}
        audit.record("update.requested", actor=by, service_name=service.name, data=data, at=now)
    return approval


def approve(
    approval: Approval,
    *,
    by: str,
    account: ServiceAccount | None = None,
    reason: str = "",
    override: change_freeze.Override | None = None,
    now: dt.datetime,
) -> None:
    """Approve the release: deploy at once if a person or program requested it, else by policy and calendar.

    ``account`` is that of a token, None for staff. Raises ApprovalDecided, OwnRequest, and what
    deploying raises.
    """
    with transaction.atomic(durable=True):
        if is_own(approval, by=by, account=account):
            raise errors.OwnRequest(
                "You asked for it yourself; another account or person approves it."
            )
        _decide(approval, to=Approval.State.APPROVED, by=by, reason=reason, now=now)
        if approval.requested_by:
            _act(approval, override)


def is_own(approval: Approval, *, by: str, account: ServiceAccount | None = None) -> bool:
    """Whether the request is that of the person or account that wants to approve it.

    A webhook names no account. It speaks for the service, and so for the account that owns it.
    """
    if approval.requested_by == by:
        return True
    is_webhook = approval.requested_by in (WEBHOOK, SIGNED_WEBHOOK)
    return is_webhook and account is not None and approval.service.account_id == account.pk


def reject(approval: Approval, *, by: str, reason: str, now: dt.datetime) -> None:
    """Keep the release from being deployed by policy, for good. Raises ApprovalDecided, ReasonMissing."""
    if not reason.strip():
        raise errors.ReasonMissing("'reason' must say why.", field="reason")
    with transaction.atomic(durable=True):
        _decide(approval, to=Approval.State.REJECTED, by=by, reason=reason, now=now)


def _decide(approval: Approval, *, to: str, by: str, reason: str, now: dt.datetime) -> None:
    is_decided = transitions.move(approval, to, decided_at=now, decided_by=by, reason=reason)
    approval.refresh_from_db()
    if not is_decided:
        raise errors.ApprovalDecided(f"{approval.release} is {approval.state} already.")
    events.publish(
        event_constructors.approval_decided(
            approval.service.name, version=approval.release.version, state=to, by=by
        )
    )
    audit.record(
        f"update.{to}",
        actor=by,
        service_name=approval.service.name,
        data={"version": approval.release.version, "reason": reason},
        at=now,
    )
    wakeups.wake("updates.apply_policy", approval.service_id)


def _act(approval: Approval, override: change_freeze.Override | None) -> None:
    by = f"{approval.requested_by}, approved by {approval.decided_by}"[:255]
    exemptions = change_freeze.GateExemptions(
        override=override, force_reason=approval.force_reason or None, is_approved=True
    )
    version = approval.release.version
    details = selections.Details(**approval.details)
    if approval.kind == Job.Kind.ROLLBACK:
        job = jobs.roll_back(
            approval.service,
            version,
            by=by,
            options=approval.strategy_options,
            details=details,
            exemptions=exemptions,
        )
    else:
        job = jobs.deploy(
            approval.service,
            recording.Announcement(version=version),
            by=by,
            strategy=approval.strategy or comparison.policy_of(approval.service).strategy,
            options=approval.strategy_options,
            details=details,
            exemptions=exemptions,
        )
    Approval.objects.filter(pk=approval.pk).update(job_id=job.job_id)
