"""How jobs stop, pause and end: each in one transaction with its events and its history."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction
from django.db.models import Func, Value
from django.db.models.functions import Now

from registry import events
from registry import operations as registry
from saga_project.shared import transitions, wakeups
from updates import event_constructors
from updates.models import Job, Release, Step
from updates.releases import recording
from updates.rollouts import (
    journal,
    metrics,
    outcomes,
    partial_failures,
    planning,
    strategy_options,
)
from updates.rollouts.agents import serving
from updates.rollouts.strategies import Action

logger = logging.getLogger(__name__)

Status = Job.Status


def pause(
    job: Job, *, reason: str, seconds: int | None, now: dt.datetime, on_expiry: str = ""
) -> None:
    """Pause the job for so many seconds, or until staff promote or resume it.

    It goes on then, or with ``on_expiry`` "rollback" it rolls back.
    A worker that is at a step keeps its lease until that is done.
    """
    resume_at = None if seconds is None else Now() + dt.timedelta(seconds=seconds)
    transitions.require_move(
        job,
        Status.PAUSED,
        pause_reason=reason,
        paused_at=now,
        resume_at=resume_at,
        on_expiry=on_expiry,
    )
    events.publish(
        event_constructors.deployment_paused(
            job, reason=reason, seconds=seconds, on_expiry=on_expiry
        )
    )


def end_pause(job: Job, *, now: dt.datetime) -> None:
    """Do what follows when the pause of a locked job is over, or has expired."""
    if job.on_expiry == strategy_options.ROLLBACK:
        stop(job, reason=f"It was not promoted in time ({job.pause_reason}).", now=now)
    else:
        resume(job, now=now)


def resume(job: Job, *, now: dt.datetime) -> None:
    paused = int((now - job.paused_at).total_seconds()) if job.paused_at else 0
    transitions.require_move(
        job,
        Status.RUNNING if job.started_at else Status.QUEUED,
        pause_reason="",
        paused_at=None,
        resume_at=None,
        on_expiry="",
        paused_seconds=job.paused_seconds + max(0, paused),
    )
    wake(job)


def wake(job: Job) -> None:
    """Wake a worker of the node that the next step is for."""
    step = job.steps.exclude(status__in=Step.ENDED).order_by("position").first()
    queue = serving.queue_for(step.node) if step and step.node else "updates"
    wakeups.wake("updates.run_job", job.pk, queue=queue)


def begin(job: Job, *, now: dt.datetime) -> None:
    transitions.require_move(job, Status.RUNNING, started_at=now)
    registry.begin_rollout(job.service.name, version=job.version)
    events.publish(event_constructors.deployment_moved("started", job))


def fail_step(
    job: Job, step: Step, *, reason: str, now: dt.datetime, is_node_lost: bool = False
) -> None:
    """Journal the failure and do what follows from it; the caller has locked the job."""
    where = f"{step.name} {step.target_name}".strip()
    logger.warning("step failed", extra={"job_id": job.job_id, "step": where, "reason": reason})
    journal.end(step, Step.Status.FAILED, reason)
    if step.name in planning.HARMLESS or (step.is_rollback and step.name in planning.COURTESIES):
        return
    is_repair = step.is_rollback and job.status != Status.ROLLING_BACK
    if step.is_rollback and not is_repair:
        leave_target(job, step, reason=f"{where}: {reason}", is_node_lost=is_node_lost)
    elif job.status != Status.ROLLING_BACK and partial_failures.tolerates(job, step):
        partial_failures.set_aside(job, step, reason=f"{where}: {reason}")
    elif job.status != Status.ROLLING_BACK:
        # Also if it was paused meanwhile: a resume must not continue past a failed step.
        stop(job, reason=f"{where}: {reason}", now=now)


def stop(job: Job, *, reason: str, now: dt.datetime, is_aborted: bool = False) -> None:
    """Give up on a locked job: roll back what has begun, or end at once where nothing has.

    Cancelled before the switch; from the switch on the previous version is put back.
    """
    job.error, job.is_aborted = reason, is_aborted
    job.save(update_fields=["error", "is_aborted"])
    journal.skip(job.steps.filter(status=Step.Status.PENDING, is_rollback=False))
    if job.status == Status.QUEUED and not is_aborted:
        begin(job, now=now)
    steps = planning.lay_out_rollback(job, begun=job.begun_moves())
    is_cancelled = is_aborted and not steps
    if job.status == Status.PAUSED and not is_cancelled:
        resume(job, now=now)
    if not steps:
        _end(job, Status.CANCELLED if is_cancelled else Status.FAILED, now=now)
        return
    Step.objects.bulk_create(steps)
    transitions.require_move(job, Status.ROLLING_BACK)
    wake(job)


def succeed(job: Job, *, now: dt.datetime) -> None:
    failed = partial_failures.names(job)
    switches = job.steps.filter(name=Action.SWITCH).exclude(target_name__in=failed)
    if failed and not switches:
        stop(job, reason=partial_failures.summary(job), now=now)
        return
    job.error = partial_failures.summary(job)
    for step in switches.select_related("target"):
        if step.target is not None:
            step.target.current_version = job.version
            step.target.save(update_fields=["current_version"])
    if job.kind == Job.Kind.ROLLBACK and job.previous_version != job.version:
        reason = f"{job.job_id} by {job.requested_by} went back to {job.version}."
        _quarantine(job, job.previous_version, reason=reason, now=now)
    job.save(update_fields=["error"])
    _end(job, Status.SUCCEEDED, now=now)


def leave_target(job: Job, step: Step, *, reason: str, is_node_lost: bool) -> None:
    """Go on with the rollback of the other targets; this one's needs attention once they are done."""
    name = step.target_name or step.name
    entry = {
        "target": name,
        "node": step.node,
        "reason": reason,
        "is_node_lost": is_node_lost,
    }
    job.attention = [*job.attention, entry]
    job.save(update_fields=["attention"])
    left = job.steps.filter(status=Step.Status.PENDING, is_rollback=True, target=step.target_id)
    journal.skip(left, message="The rollback of this target failed.")


def end_rollback(job: Job, *, now: dt.datetime) -> None:
    if job.attention:
        fail_rollback(job, now=now)
    elif outcomes.has_restored(job):
        if job.kind == Job.Kind.DEPLOY:
            reason = f"{job.job_id} was rolled back: {job.error}"
            _quarantine(job, job.version, reason=reason, now=now)
        _end(job, Status.ROLLED_BACK, now=now)
    else:
        is_cancelled = job.is_aborted and not outcomes.has_switched(job)
        _note_what_may_still_run(job)
        _end(job, Status.CANCELLED if is_cancelled else Status.FAILED, now=now)


def _note_what_may_still_run(job: Job) -> None:
    """Add to the job's error what a failed first deployment started and could not stop."""
    left = job.steps.filter(is_rollback=True, result__may_still_run=True).order_by("position")
    notes = [step.message for step in left]
    if notes:
        job.error = " ".join([job.error, *notes]).strip()
        job.save(update_fields=["error"])


def fail_rollback(job: Job, *, now: dt.datetime) -> None:
    """Some targets could not be restored: the service is locked until staff retry or acknowledge."""
    reasons = " ".join(entry["reason"] for entry in job.attention)
    job.error = f"{job.error} The rollback failed too: {reasons}".strip()
    job.needs_attention = True
    job.save(update_fields=["error", "needs_attention"])
    if job.kind == Job.Kind.DEPLOY:
        _quarantine(job, job.version, reason=f"{job.job_id} failed: {job.error}", now=now)
    _end(job, Status.FAILED, now=now)


def abandon(job: Job, *, by: str, now: dt.datetime) -> None:
    """End a rollback where it is: what runs on each target is left as it is, and acknowledged."""
    job.error = (
        f"{job.error} The rollback was aborted by {by}; targets were left as they are.".strip()
    )
    job.acknowledged_by = by
    job.save(update_fields=["error", "acknowledged_by"])
    journal.skip(job.steps.all(), message=f"Left as it is by {by}.", finished_at=now)
    if job.kind == Job.Kind.DEPLOY:
        _quarantine(job, job.version, reason=f"{job.job_id} failed: {job.error}", now=now)
    _end(job, Status.FAILED, now=now)


def leave(job: Job, *, reason: str, now: dt.datetime) -> None:
    """Cancel a live job where it is: what runs on each target is left as it is."""
    job.error = reason
    job.save(update_fields=["error"])
    journal.skip(job.steps.all(), message=reason, finished_at=now)
    _end(job, Status.CANCELLED, now=now)


def roll_back_again(job: Job, *, now: dt.datetime) -> None:
    """Begin the rollback of a locked job anew; a worker that is at one of its steps loses the job."""
    journal.skip(job.steps.all(), message="The rollback began anew.", finished_at=now)
    steps = planning.lay_out_rollback(job, begun=job.begun_moves())
    Step.objects.bulk_create(steps)
    fields = {"needs_attention": False, "attention": [], "finished_at": None}
    if job.status == Status.ROLLING_BACK:
        Job.objects.filter(pk=job.pk).update(
            **fields,
            fence=Func(Value("updates_fence"), function="nextval"),
            lease_owner="",
            lease_expires_at=None,
            waiting_since=None,
        )
    else:
        transitions.require_move(job, Status.ROLLING_BACK, **fields)
    wake(job)


def _quarantine(job: Job, version: str, *, reason: str, now: dt.datetime) -> None:
    """Keep the next scheduled check from installing a bad release again."""
    release = Release.objects.filter(service=job.service, version=version).first()
    if release is not None and release.state == Release.State.AVAILABLE:
        recording.move(release, to=Release.State.QUARANTINED, reason=reason, at=now)


def _end(job: Job, to: Job.Status, *, now: dt.datetime) -> None:
    if job.status == Status.PAUSED and job.paused_at:
        job.paused_seconds += max(0, int((now - job.paused_at).total_seconds()))
    if not job.previous_version:
        job.previous_version = next(
            (v for v in outcomes.previous_of_targets(job).values() if v), ""
        )
    job.progress = 100 if to == Status.SUCCEEDED else job.progress
    job.save(update_fields=["paused_seconds", "previous_version", "progress"])
    transitions.require_move(
        job, to, finished_at=now, lease_owner="", lease_expires_at=None, waiting_since=None
    )
    registry.end_rollout(job.service.name)
    events.publish(event_constructors.deployment_ended(to, job))
    # Robust: figures are kept in files, and a full disk must not keep the job from its end.
    transaction.on_commit(lambda: metrics.note_end(job.kind, to), robust=True)
    if to != Status.CANCELLED:
        outcomes.record(job, now=now)
