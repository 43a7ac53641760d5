"""Event constructors for releases and updates (``registry.events`` publishes them)."""

from __future__ import annotations

from collections.abc import Mapping

from registry import events
from updates.event_constructors import event_types
from updates.models import Job, Target


def release_announced(name: str, *, version: str, origin: str, channel: str) -> events.EventDraft:
    data: event_types.ReleaseAnnouncedData = {
        "version": version,
        "origin": origin,
        "channel": channel or None,
    }
    return events.EventDraft(type="release.announced", service_name=name, data=data)


def release_moved(name: str, *, version: str, state: str, reason: str) -> events.EventDraft:
    """``release.quarantined``, ``.withdrawn`` or ``.available``."""
    data: event_types.ReleaseMovedData = {"version": version, "reason": reason or None}
    return events.EventDraft(type=f"release.{state}", service_name=name, data=data)


def update_available(name: str, *, current: str | None, latest: str) -> events.EventDraft:
    data: event_types.UpdateAvailableData = {"current_version": current, "latest_version": latest}
    return events.EventDraft(type="update.available", service_name=name, data=data)


def update_waits(name: str, *, version: str) -> events.EventDraft:
    """Policy asks for an approval, and none was given yet."""
    data: event_types.AwaitingApprovalData = {"version": version}
    return events.EventDraft(type="update.awaiting_approval", service_name=name, data=data)


def approval_decided(name: str, *, version: str, state: str, by: str) -> events.EventDraft:
    """``update.approved`` or ``.rejected``: the answer to ``update.awaiting_approval``."""
    data: event_types.ApprovalDecidedData = {"version": version, "by": by}
    return events.EventDraft(type=f"update.{state}", service_name=name, data=data)


def approval_given(
    name: str, *, version: str, by: str, approvals: int, required: int
) -> events.EventDraft:
    """One of several approvals that are needed was given."""
    data: event_types.ApprovalGivenData = {
        "version": version,
        "by": by,
        "approvals": approvals,
        "required": required,
    }
    return events.EventDraft(type="update.approval_given", service_name=name, data=data)


def approval_expired(name: str, *, version: str, requested_by: str) -> events.EventDraft:
    """A request was not decided in its time."""
    data: event_types.ApprovalExpiredData = {
        "version": version,
        "requested_by": requested_by or None,
    }
    return events.EventDraft(type="update.approval_expired", service_name=name, data=data)


def check_failed(name: str, *, reason: str) -> events.EventDraft:
    data: event_types.SourceFailedData = {"reason": reason}
    return events.EventDraft(type="update.check_failed", service_name=name, data=data)


def check_recovered(name: str) -> events.EventDraft:
    return events.EventDraft(type="update.check_recovered", service_name=name)


def service_drifted(name: str, *, deployed: str, reported: str) -> events.EventDraft:
    """A service runs another version than the one that Saga deployed last."""
    data: event_types.DriftedData = {"deployed_version": deployed, "reported_version": reported}
    return events.EventDraft(type="service.drifted", service_name=name, data=data)


def handed_over(
    name: str,
    *,
    account: str,
    dropped: Mapping[str, list[str]],
    handed_over: Mapping[str, list[str]],
) -> events.EventDraft:
    """What of updates an account got with a service that had no owner, and what was dropped, by kind.

    At most a hundred names of each kind are listed.
    """
    data: event_types.HandedOverData = {
        "account": account,
        "dropped": {kind: names[:100] for kind, names in dropped.items()},
        "handed_over": {kind: names[:100] for kind, names in handed_over.items()},
    }
    return events.EventDraft(type="service.handed_over", service_name=name, data=data)


def target_stopped(target: Target, *, message: str, may_still_run: bool) -> events.EventDraft:
    data: event_types.TargetStoppedData = {
        "target": target.name,
        "node": target.node,
        "version": target.current_version or None,
        "may_still_run": may_still_run,
        "message": message,
    }
    return events.EventDraft(type="target.stopped", service_name=target.service.name, data=data)


def deployment_moved(moment: str, job: Job) -> events.EventDraft:
    """``deployment.queued`` or ``.started``."""
    return _deployment(moment, job, _of(job))


def deployment_paused(
    job: Job, *, reason: str, seconds: int | None, on_expiry: str = ""
) -> events.EventDraft:
    """It waits for so many seconds, or until staff decide; with ``on_expiry`` it is over then."""
    waits: event_types.PauseData = {"reason": reason, "resumes_after_seconds": seconds}
    if on_expiry:
        waits = {"reason": reason, "expires_after_seconds": seconds, "on_expiry": on_expiry}
    data: event_types.DeploymentPausedData = {**_of(job), **waits}
    return _deployment("paused", job, data)


def deployment_promoted(job: Job, *, is_fully: bool) -> events.EventDraft:
    data: event_types.DeploymentPromotedData = {**_of(job), "is_fully": is_fully}
    return _deployment("promoted", job, data)


def deployment_overridden(
    job: Job, *, by: str, reason: str, obstacles: dict[str, str]
) -> events.EventDraft:
    """Staff overrode what the calendar says; ``obstacles`` are its words."""
    data: event_types.DeploymentOverriddenData = {
        **_of(job),
        "by": by,
        "reason": reason,
        "obstacles": obstacles,
    }
    return _deployment("overridden", job, data)


def deployment_ended(status: str, job: Job) -> events.EventDraft:
    """How it ended: ``deployment.succeeded``, ``.failed``, ``.rolled_back`` or ``.cancelled``."""
    data: event_types.DeploymentEndedData = {
        **_of(job),
        "needs_attention": job.needs_attention,
    }
    return _deployment(status, job, data)


def _of(job: Job) -> event_types.DeploymentData:
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "version": job.version,
        "previous_version": job.previous_version or None,
        "strategy": job.strategy,
        "error": job.error or None,
    }


def _deployment(moment: str, job: Job, data: Mapping[str, object]) -> events.EventDraft:
    return events.EventDraft(type=f"deployment.{moment}", service_name=job.service.name, data=data)


def acknowledged(job: Job, *, by: str) -> events.EventDraft:
    """Staff acknowledged a failed rollback: the service can be deployed again."""
    data: event_types.AcknowledgedData = {"job_id": job.job_id, "by": by}
    return events.EventDraft(
        type="deployment.acknowledged", service_name=job.service.name, data=data
    )
