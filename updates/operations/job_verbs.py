"""What staff and programs may do to a job while it runs; each verb has an answer in each state."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from registry import events
from updates import errors, event_constructors
from updates.history import audit, records
from updates.models import Job
from updates.operations import jobs
from updates.policies import change_freeze
from updates.rollouts import transitions

Status = Job.Status

#: Which verbs each state allows; ``acknowledge`` also needs ``needs_attention``.
ALLOWED: Mapping[str, tuple[str, ...]] = {
    Status.QUEUED: ("pause", "abort"),
    Status.RUNNING: ("pause", "promote", "abort"),
    Status.PAUSED: ("resume", "promote", "abort"),
    Status.ROLLING_BACK: ("retry", "abort"),
    Status.SUCCEEDED: (),
    Status.FAILED: ("retry",),
    Status.ROLLED_BACK: ("retry",),
    Status.CANCELLED: ("retry",),
}


def pause(job_id: str, *, by: str) -> Job:
    """Pause after the current step, until staff resume."""
    with transaction.atomic(durable=True):
        job = _locked(job_id, verb="pause")
        transitions.pause(job, reason=f"Paused by {by}", seconds=None, now=timezone.now())
        return _audited(job, "paused", by)


def resume(job_id: str, *, by: str) -> Job:
    with transaction.atomic(durable=True):
        job = _locked(job_id, verb="resume")
        transitions.resume(job, now=timezone.now())
        return _audited(job, "resumed", by)


def promote(job_id: str, *, by: str, is_fully: bool = False) -> Job:
    """End the pause that the job is in; fully: and skip all that would come, now or later."""
    with transaction.atomic(durable=True):
        job = _locked(job_id, verb="promote")
        if job.status == Status.RUNNING and not is_fully:
            raise errors.VerbNotAllowed(
                f"{job.job_id} is running and waits for nothing: only a full promotion, pause and abort"
                " are allowed."
            )
        if is_fully:
            job.is_promoted_fully = True
            job.save(update_fields=["is_promoted_fully"])
        if job.status == Status.PAUSED:
            transitions.resume(job, now=timezone.now())
        events.publish(event_constructors.deployment_promoted(job, is_fully=is_fully))
        return _audited(job, "promoted", by)


def abort(job_id: str, *, by: str) -> Job:
    """Cancel before the switch; from the switch on, roll back; a rollback is left as it is."""
    with transaction.atomic(durable=True):
        job = _locked(job_id, verb="abort")
        if job.status == Status.ROLLING_BACK:
            transitions.abandon(job, by=by, now=timezone.now())
            return _audited(job, "aborted", by)
        transitions.stop(job, reason=f"Aborted by {by}.", now=timezone.now(), is_aborted=True)
        return _audited(job, "aborted", by)


def retry(
    job_id: str, *, by: str, exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS
) -> Job:
    """Ask for the same again, as a new job that passes the same gates; a failed rollback goes on instead."""
    with transaction.atomic(durable=True):
        job = _locked(job_id, verb="retry")
        if job.needs_attention or job.status == Status.ROLLING_BACK:
            transitions.roll_back_again(job, now=timezone.now())
            return _audited(job, "retried", by)
        again = Job(
            **{name: getattr(job, name) for name in _REQUEST},
            previous_version=records.deployed_version(job.service.name) or "",
            requested_by=by,
        )
        return jobs.queue(again, exemptions)


_REQUEST = (
    "kind",
    "service",
    "release",
    "version",
    "strategy",
    "strategy_options",
    "selection",
    "reason",
    "metrics",
    "artifact_url",
    "artifact_type",
    "checksum",
)


def acknowledge(job_id: str, *, by: str) -> Job:
    """Acknowledge a failed rollback, so that the service can be deployed again."""
    with transaction.atomic(durable=True):
        job = _locked(job_id, verb=None)
        if not job.needs_attention:
            raise errors.VerbNotAllowed(f"{job.job_id} needs no attention.")
        job.needs_attention, job.acknowledged_by = False, by
        job.save(update_fields=["needs_attention", "acknowledged_by"])
        events.publish(event_constructors.acknowledged(job, by=by))
        return _audited(job, "acknowledged", by)


def _locked(job_id: str, *, verb: str | None) -> Job:
    job = (
        Job.objects.select_for_update(of=("self",))
        .select_related("service", "release")
        .filter(job_id=job_id)
        .first()
    )
    if job is None:
        raise errors.JobNotFound(f"There is no job '{job_id}'.")
    allowed = ALLOWED[job.status]
    if verb is not None and verb not in allowed:
        words = ", ".join(allowed) if allowed else "nothing"
        raise errors.VerbNotAllowed(
            f"{job.job_id} is {job.get_status_display()}: cannot {verb}; allowed: {words}."
        )
    return job


def _audited(job: Job, verb: str, by: str) -> Job:
    data = {"job_id": job.job_id, "version": job.version}
    audit.record(
        f"job.{verb}", actor=by, service_name=job.service.name, data=data, at=timezone.now()
    )
    return job
