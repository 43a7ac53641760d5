"""Event constructors for releases and updates (``registry.events`` publishes them)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry import events
from updates.models import Job, Target


def release_announced(name: str, *, version: str, origin: str, channel: str) -> events.EventDraft:
    data = {"version": version, "origin": origin, "channel": channel or None}
    return events.EventDraft(type="release.announced", service_name=name, data=data)


def release_moved(name: str, *, version: str, state: str, reason: str) -> events.EventDraft:
    """``release.quarantined``, ``.withdrawn`` or ``.available``."""
    data = {"version": version, "reason": reason or None}
    return events.EventDraft(type=f"release.{state}", service_name=name, data=data)


def update_available(name: str, *, current: str | None, latest: str) -> events.EventDraft:
    data = {"current_version": current, "latest_version": latest}
    return events.EventDraft(type="update.available", service_name=name, data=data)


def update_waits(name: str, *, version: str) -> events.EventDraft:
    """Policy asks for an approval, and none was given yet."""
    return events.EventDraft(
        type="update.awaiting_approval", service_name=name, data={"version": version}
    )


def approval_decided(name: str, *, version: str, state: str, by: str) -> events.EventDraft:
    """``update.approved`` or ``.rejected``: the answer to ``update.awaiting_approval``."""
    data = {"version": version, "by": by}
    return events.EventDraft(type=f"update.{state}", service_name=name, data=data)


def approval_given(
    name: str, *, version: str, by: str, approvals: int, required: int
) -> events.EventDraft:
    """One of several approvals that are needed was given."""
    data = {"version": version, "by": by, "approvals": approvals, "required": required}
    return events.EventDraft(type="update.approval_given", service_name=name, data=data)


def approval_expired(name: str, *, version: str, requested_by: str) -> events.EventDraft:
    """A request was not decided in its time."""
    data = {"version": version, "requested_by": requested_by or None}
    return events.EventDraft(type="update.approval_expired", service_name=name, data=data)


def check_failed(name: str, *, reason: str) -> events.EventDraft:
    return events.EventDraft(type="update.check_failed", service_name=name, data={"reason": reason})


def check_recovered(name: str) -> events.EventDraft:
    return events.EventDraft(type="update.check_recovered", service_name=name)


def service_drifted(name: str, *, deployed: str, reported: str) -> events.EventDraft:
    """A service runs another version than the one that Saga deployed last."""
    data = {"deployed_version": deployed, "reported_version": reported}
    return events.EventDraft(type="service.drifted", service_name=name, data=data)


def handed_over(
    name: str,
    *,
    account: str,
    dropped: Mapping[str, list[str]],
    handed_over: Mapping[str, list[str]],
) -> events.EventDraft:
    """What of updates an account got with a service that had no owner, and what was dropped, by kind.

    Of each kind at most a hundred names are told.
    """
    data = {
        "account": account,
        "dropped": {kind: names[:100] for kind, names in dropped.items()},
        "handed_over": {kind: names[:100] for kind, names in handed_over.items()},
    }
    return events.EventDraft(type="service.handed_over", service_name=name, data=data)


def target_stopped(target: Target, *, message: str, may_still_run: bool) -> events.EventDraft:
    data = {
        "target": target.name,
        "node": target.node,
        "version": target.current_version or None,
        "may_still_run": may_still_run,
        "message": message,
    }
    return events.EventDraft(type="target.stopped", service_name=target.service.name, data=data)


def deployment(moment: str, job: Job, **more: Any) -> events.EventDraft:
    """``deployment.queued``, ``.started``, ``.paused``, ``.promoted``, or how it ended: its status."""
    data = {
        "job_id": job.job_id,
        "kind": job.kind,
        "version": job.version,
        "previous_version": job.previous_version or None,
        "strategy": job.strategy,
        "error": job.error or None,
        **more,
    }
    return events.EventDraft(type=f"deployment.{moment}", service_name=job.service.name, data=data)


def acknowledged(job: Job, *, by: str) -> events.EventDraft:
    """Staff acknowledged a failed rollback: the service can be deployed again."""
    data = {"job_id": job.job_id, "by": by}
    return events.EventDraft(
        type="deployment.acknowledged", service_name=job.service.name, data=data
    )
