"""What people and accounts decide about approvals: n of them approve, one rejects, or the time runs out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from registry import events
from registry.identity import identities
from registry.identity.accounts import STAFF
from registry.models import Service, ServiceAccount
from saga_project.shared import transitions, wakeups
from updates import errors, event_constructors
from updates.history import audit
from updates.models import Approval, ApprovalDecision, Job, PolicyRules, Release
from updates.operations import jobs, selections
from updates.policies import change_freeze, comparison
from updates.releases import recording

#: The requesters of calls that name no account.
WEBHOOK, SIGNED_WEBHOOK = "webhook", "webhook (signed)"
Way = ApprovalDecision.Way


@dataclass(frozen=True, kw_only=True)
class Decider:
    """The person, or the account with the token, that decides, and the way it took."""

    name: str
    account: ServiceAccount | None = None
    token_prefix: str = ""
    way: str = Way.CONSOLE


def terms_of(policy: PolicyRules, *, now: dt.datetime) -> dict[str, Any]:
    """Return how many must approve a request that is made now, and when it expires."""
    hours = policy.approval_expires_after_hours
    return {
        "required_approvals": policy.required_approvals,
        "expires_at": now + dt.timedelta(hours=hours) if hours else None,
    }


def approve(
    approval: Approval,
    *,
    by: str,
    account: ServiceAccount | None = None,
    token_prefix: str = "",
    way: str = Way.CONSOLE,
    reason: str = "",
    override: change_freeze.Override | None = None,
    fingerprint: str = "",
    now: dt.datetime,
) -> None:
    """Record an approval; with the last one that is needed, deploy.

    What a person or program requested is deployed at once, else policy and calendar say when. ``account`` is
    that of a token, None for staff; ``fingerprint`` is that of the release that was seen. Raises
    ApprovalDecided, ApprovalExpired, ReleaseChanged, AlreadyApproved, OwnRequest, and what deploying raises:
    then the approval is not recorded either.
    """
    decider = Decider(name=by, account=account, token_prefix=token_prefix, way=way)
    with transaction.atomic(durable=True):
        _lock(approval, fingerprint=fingerprint, now=now)
        _check_may_approve(approval, decider)
        _record(approval, ApprovalDecision.Verdict.APPROVED, decider, reason=reason, now=now)
        names = approvers_of(approval)
        required = required_of(approval)
        if len(names) < required:
            _publish_given(approval, decider, given=len(names), required=required, now=now)
            return
        _decide(approval, to=Approval.State.APPROVED, by=", ".join(names), reason=reason, now=now)
        if approval.requested_by:
            _act(approval, override)


def reject(
    approval: Approval,
    *,
    by: str,
    account: ServiceAccount | None = None,
    token_prefix: str = "",
    way: str = Way.CONSOLE,
    reason: str,
    fingerprint: str = "",
    now: dt.datetime,
) -> None:
    """Keep the release from being deployed by policy, for good, whatever others decided before.

    The author may do so too. Raises ApprovalDecided, ApprovalExpired, ReasonMissing.
    """
    if not reason.strip():
        raise errors.ReasonMissing("'reason' must say why.", field="reason")
    decider = Decider(name=by, account=account, token_prefix=token_prefix, way=way)
    with transaction.atomic(durable=True):
        _lock(approval, fingerprint=fingerprint, now=now)
        _record(approval, ApprovalDecision.Verdict.REJECTED, decider, reason=reason, now=now)
        _decide(approval, to=Approval.State.REJECTED, by=person(by), reason=reason, now=now)


def approvers_of(approval: Approval) -> list[str]:
    """Return those whose approvals count, each person once.

    An author of the release by now is none of them any more.
    """
    authors = {person(name) for name in approval.release.authors}
    decisions = list(approval.decisions.all())
    marks = identities.marks_of({*authors, *(each.decided_by for each in decisions)})
    known: set[str] = set().union(*(marks[name] for name in authors))
    names: list[str] = []
    for each in decisions:
        theirs = marks[each.decided_by].union(each.marks)
        if known.isdisjoint(theirs):
            names.append(each.decided_by)
        known |= theirs
    return names


def has_decided(approval: Approval, *, by: str) -> bool:
    """Whether the person or account decided already, under whichever name."""
    decisions = list(approval.decisions.all())
    marks = identities.marks_of({person(by), *(each.decided_by for each in decisions)})
    mine = marks[person(by)]
    return any(not mine.isdisjoint(marks[each.decided_by].union(each.marks)) for each in decisions)


def person(name: str) -> str:
    """Return the name under which a person or account is counted."""
    return name.removeprefix(STAFF)[:255]


def required_of(approval: Approval) -> int:
    """Return how many must approve: as asked, or more where the policy asks for more meanwhile."""
    policy = comparison.policy_of(approval.service)
    return max(approval.required_approvals, policy.required_approvals)


def is_own(approval: Approval, *, by: str, account: ServiceAccount | None = None) -> bool:
    """Whether the request, or the release, is that of the person or account that wants to approve it.

    A webhook names no account. It speaks for the service, and so for the account that owns it.
    """
    names = {person(name) for name in (approval.requested_by, *approval.release.authors) if name}
    if identities.is_among(person(by), names):
        return True
    is_webhook = not names.isdisjoint((WEBHOOK, SIGNED_WEBHOOK))
    return is_webhook and account is not None and approval.service.account_id == account.pk


def expire(*, now: dt.datetime, service: Service | None = None) -> int:
    """Expire the requests that were not decided in time; return how many."""
    rows = Approval.objects.filter(state=Approval.State.PENDING, expires_at__lte=now)
    if service is not None:
        rows = rows.filter(service=service)
    return sum(_expire(approval, now=now) for approval in rows.select_related("service", "release"))


@transaction.atomic
def _expire(approval: Approval, *, now: dt.datetime) -> bool:
    if not transitions.move(approval, Approval.State.EXPIRED, decided_at=now):
        return False
    name, version = approval.service.name, approval.release.version
    asked = approval.requested_by
    events.publish(event_constructors.approval_expired(name, version=version, requested_by=asked))
    data = {"version": version, "requested_by": asked, "approval": approval.pk}
    audit.record("update.expired", actor="saga", service_name=name, data=data, at=now)
    return True


def _lock(approval: Approval, *, fingerprint: str, now: dt.datetime) -> None:
    """Lock service, release and approval, in that order, and read the approval anew."""
    Service.objects.select_for_update(no_key=True).get(pk=approval.service_id)
    release = Release.objects.select_for_update(no_key=True).get(pk=approval.release_id)
    locked = Approval.objects.select_for_update().filter(pk=approval.pk)
    approval.refresh_from_db(from_queryset=locked)
    approval.release = release
    if fingerprint and fingerprint != release.fingerprint:
        raise errors.ReleaseChanged(f"{release} has another artifact than the one that was seen.")
    if approval.state == Approval.State.EXPIRED or _is_late(approval, now=now):
        raise errors.ApprovalExpired(
            f"The request for {release} was not decided in time; make it, or announce it, again."
        )
    if approval.state != Approval.State.PENDING:
        raise errors.ApprovalDecided(f"{release} is {approval.state} already.")


def _is_late(approval: Approval, *, now: dt.datetime) -> bool:
    is_pending = approval.state == Approval.State.PENDING
    return is_pending and approval.expires_at is not None and approval.expires_at <= now


def _check_may_approve(approval: Approval, decider: Decider) -> None:
    if is_own(approval, by=decider.name, account=decider.account):
        raise errors.OwnRequest(
            "You asked for it yourself, or announced it; another account or person approves it."
        )
    if has_decided(approval, by=decider.name):
        raise errors.AlreadyApproved(
            "You approved it already; another person must approve it, too."
        )


def _record(
    approval: Approval, verdict: str, decider: Decider, *, reason: str, now: dt.datetime
) -> None:
    account, name = decider.account, person(decider.name)
    ApprovalDecision.objects.create(
        approval=approval,
        verdict=verdict,
        decided_by=name,
        account=account if account is not None and account.pk else None,
        marks=sorted(identities.marks_of({name})[name]),
        token_prefix=decider.token_prefix,
        way=decider.way,
        reason=reason,
        decided_at=now,
    )


def _publish_given(
    approval: Approval, decider: Decider, *, given: int, required: int, now: dt.datetime
) -> None:
    name, version, by = approval.service.name, approval.release.version, person(decider.name)
    events.publish(
        event_constructors.approval_given(
            name, version=version, by=by, approvals=given, required=required
        )
    )
    data = {"version": version, "approvals": given, "required": required, "way": str(decider.way)}
    audit.record("update.approval_given", actor=by, service_name=name, data=data, at=now)


def _decide(approval: Approval, *, to: str, by: str, reason: str, now: dt.datetime) -> None:
    transitions.require_move(approval, to, decided_at=now, decided_by=by[:255], reason=reason)
    last = approval.decisions.order_by("-pk").values("decided_by", "way", "token_prefix")[0]
    events.publish(
        event_constructors.approval_decided(
            approval.service.name, version=approval.release.version, state=to, by=by
        )
    )
    audit.record(
        f"update.{to}",
        actor=last["decided_by"],
        service_name=approval.service.name,
        data={
            "version": approval.release.version,
            "reason": reason,
            "by": by,
            "way": last["way"],
            "token": last["token_prefix"],
        },
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
