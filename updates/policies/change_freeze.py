"""The gates before every job: release, signed statement, second person, calendar.

They hold for deployments, rollbacks and retries alike, on every route. An override takes
a permission and a reason; it goes into the audit trail and into an event.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from registry import events
from registry.identity.accounts import Caller
from registry.models import Service
from saga_project.shared import api
from updates import errors, event_constructors
from updates.artifacts import signatures, store
from updates.history import audit
from updates.models import Job, PolicyRules, Release
from updates.policies import comparison, preview

MAX_REASON_LENGTH = 1000


@dataclass(frozen=True)
class Override:
    """The person that overrides the gates, and the reason; made where their permission was checked."""

    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class GateExemptions:
    """What allows a request to pass gates that would stop it.

    ``force_reason`` deploys a quarantined release, ``is_approved`` says that the second person, or the
    policy, has agreed.
    """

    override: Override | None = None
    force_reason: str | None = None
    is_approved: bool = False


NO_EXEMPTIONS = GateExemptions()


def override_of(caller: Caller | None, reason: str | None) -> Override | None:
    """Return the override that a caller of the API asks for by giving a reason."""
    if reason is None:
        return None
    if caller is None or not caller.is_admin:
        raise errors.OverrideNotAllowed("An override takes the scope 'admin:registry'.")
    return Override(by=str(caller), reason=reason)


@dataclass
class _Overridden:
    """The gates that an override opened, for the record."""

    obstacles: dict[str, str] = field(default_factory=dict)


def require(job: Job, exemptions: GateExemptions, *, now: dt.datetime) -> None:
    """Raise what stops the job; an override that is used goes on record, in the caller's transaction."""
    overridden, policy = _Overridden(), comparison.policy_of(job.service)
    _check_release(job, exemptions, now=now, overridden=overridden)
    _check_checksum(job, policy)
    _check_statement(job, policy, exemptions, now=now, overridden=overridden)
    _check_second_person(job, policy, exemptions, overridden=overridden)
    _check_calendar(job.service, exemptions, now=now, overridden=overridden)
    if exemptions.override is not None and overridden.obstacles:
        _record_override(job, exemptions.override, overridden.obstacles, now=now)


def obstacle(job: Job, *, now: dt.datetime) -> str | None:
    """Return the gate that takes an override, None where the job needs none or none would help."""
    try:
        require(job, NO_EXEMPTIONS, now=now)
    except (errors.ReleaseWithdrawn, errors.ChecksumMissing):
        return None
    except (
        errors.ApprovalRequired,
        errors.ChangesFrozen,
        errors.ReleaseQuarantined,
        errors.StatementExpired,
    ) as exc:
        return exc.message
    return None


def _check_release(
    job: Job, exemptions: GateExemptions, *, now: dt.datetime, overridden: _Overridden
) -> None:
    release = job.release
    if release is None or release.state == Release.State.AVAILABLE:
        return
    why = f": {release.state_reason}" if release.state_reason else "."
    if release.state == Release.State.WITHDRAWN:
        raise errors.ReleaseWithdrawn(f"Release {release.version} was withdrawn{why}")
    if exemptions.force_reason is not None:
        _record_force(job, exemptions.force_reason, now=now)
    elif exemptions.override is None:
        raise errors.ReleaseQuarantined(
            f"Release {release.version} is quarantined{why} Send 'force' and a 'reason' to deploy it"
            " nevertheless."
        )
    else:
        overridden.obstacles["quarantine"] = f"Release {release.version} is quarantined{why}"


def _check_checksum(job: Job, policy: PolicyRules) -> None:
    if job.kind != Job.Kind.DEPLOY or store.is_digest(job.checksum):
        return
    if policy.requires_checksum:
        raise errors.ChecksumMissing(
            f"The policy of '{job.service.name}' asks for a checksum, and release {job.version} has none:"
            " send 'checksum' as sha256: and 64 hexadecimal digits."
        )


def _check_statement(
    job: Job,
    policy: PolicyRules,
    exemptions: GateExemptions,
    *,
    now: dt.datetime,
    overridden: _Overridden,
) -> None:
    if job.release is None or not policy.requires_signature:
        return
    expired_at = signatures.expiry_of(job.release.signature)
    if expired_at is None or expired_at > now:
        return
    obstacle = f"The signed statement of {job.version} expired at {api.zulu(expired_at)}."
    if exemptions.override is None or job.kind == Job.Kind.DEPLOY:
        raise errors.StatementExpired(f"{obstacle} Sign the release again.")
    overridden.obstacles["statement"] = obstacle


def _check_second_person(
    job: Job, policy: PolicyRules, exemptions: GateExemptions, *, overridden: _Overridden
) -> None:
    if exemptions.is_approved or not policy.requires_second_person:
        return
    obstacle = f"The policy of '{job.service.name}' asks for the approval of a second person."
    if exemptions.override is None:
        raise errors.ApprovalRequired(f"{obstacle} Ask for it by a deployment or a rollback.")
    overridden.obstacles["approval"] = obstacle


def _check_calendar(
    service: Service, exemptions: GateExemptions, *, now: dt.datetime, overridden: _Overridden
) -> None:
    verdict = preview.calendar_of(service).evaluate(now)
    if verdict.is_open:
        return
    if exemptions.override is None:
        until = f" until {api.zulu(verdict.opens_at)}" if verdict.opens_at else ""
        raise errors.ChangesFrozen(
            f"Service '{service.name}' may not be changed{until}: {verdict.reason} Staff with the"
            " permission can override this, with a reason."
        )
    overridden.obstacles["calendar"] = verdict.reason


def _record_override(
    job: Job, override: Override, obstacles: dict[str, str], *, now: dt.datetime
) -> None:
    _check_reason(override.reason, field="override_reason")
    for gate, obstacle in obstacles.items():
        data = {"reason": override.reason, "obstacle": obstacle, "job_id": job.job_id}
        audit.record(
            f"{gate}.overridden",
            actor=override.by,
            service_name=job.service.name,
            data=data,
            at=now,
        )
    events.publish(
        event_constructors.deployment_overridden(
            job, by=override.by, reason=override.reason, obstacles=obstacles
        )
    )


def _record_force(job: Job, reason: str, *, now: dt.datetime) -> None:
    _check_reason(reason, field="reason")
    audit.record(
        "quarantine.forced",
        actor=job.requested_by,
        service_name=job.service.name,
        data={"reason": reason, "job_id": job.job_id, "version": job.version},
        at=now,
    )


def _check_reason(reason: str, *, field: str) -> None:
    if not reason.strip():
        raise errors.ReasonMissing(f"'{field}' must say why.", field=field)
    if len(reason) > MAX_REASON_LENGTH:
        raise errors.ReasonMissing(
            f"'{field}' has at most {MAX_REASON_LENGTH} characters.", field=field
        )
