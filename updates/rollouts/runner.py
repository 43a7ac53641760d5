"""Advance a job, one step after the other. Any line may be the last that a worker reaches.

Each step is journaled before and after. What a step does looks first, so that it may run twice; after
a crash it runs again, and the disk says how far it had come.
"""

from __future__ import annotations

import contextlib
import logging

from django import db
from django.db.models import F
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from saga_project.shared import stopping
from updates.artifacts import store
from updates.models import Job, Step
from updates.rollouts import (
    downloads,
    journal,
    leases,
    measuring,
    partial_failures,
    planning,
    retries,
    steps,
    strategy_options,
    transitions,
    watching,
)
from updates.rollouts.agents import serving
from updates.rollouts.strategies import Action
from updates.step_context import (
    Inconclusive,
    Interrupted,
    NodeAway,
    Outcome,
    StepFailed,
    TransientFailure,
)

logger = logging.getLogger(__name__)

#: A step that took its worker with it so often is not tried again.
MAX_RUNS = 5

Status = Job.Status


def run(job_pk: int, *, node: str) -> None:
    """Take the job and advance it for as long as its next step is this node's; then ring for the next."""
    lease = leases.take(job_pk)
    if lease is None:
        return
    try:
        with bound_contextvars(job_id=lease.job_id), leases.kept(lease):
            while _advance(lease, node=node):
                pass
    except leases.LeaseLost:
        logger.info("job taken over or over", extra={"job_id": lease.job_id, "fence": lease.fence})
    except db.Error:
        # The next worker need not wait for the lease to run out, if the database is back by now.
        with contextlib.suppress(db.Error):
            db.connection.close()
            leases.release(lease)
        raise


def _advance(lease: leases.Lease, *, node: str) -> bool:
    """Do one step; return whether there is more for us to do."""
    with lease.writing() as job:
        if job.status == Status.PAUSED:
            leases.release(lease)
            return False
        if stopping.has_begun():
            _hand_over(job)
            return False
        if job.status == Status.QUEUED:
            transitions.begin(job, now=timezone.now())
        # The job may have been aborted meanwhile: continue from its new state.
        lease.job_status = job.status
        leases.renew(lease)
        step = job.steps.exclude(status__in=Step.ENDED).order_by("position").first()
        if step is None:
            return _finish(job)
        if step.node and not _can_do(lease, job, step, node=node):
            return False
        if job.status == Status.ROLLING_BACK and not step.is_rollback:
            journal.end(step, Step.Status.FAILED, "Stopped.")
            return True
        if _has_to_wait(job, step):
            _begin_wait(job, step)
            leases.release(lease)
            return False
        if downloads.has_to_wait(job, step):
            leases.release(lease)  # The sweep over jobs asks again; no worker thread waits.
            return False
        if step.runs >= MAX_RUNS:
            reason = f"The worker died {MAX_RUNS} times in this step."
            transitions.fail_step(job, step, reason=reason, now=timezone.now())
            return True
        journal.begin(step)
    step_run = steps.StepRun(
        lease=lease, job=job, step=step, options=strategy_options.read(job.strategy_options)
    )
    return _do(step_run)


def _can_do(lease: leases.Lease, job: Job, step: Step, *, node: str) -> bool:
    """Return whether this worker can have the step done; else the job is free for others, or for later."""
    if not serving.is_served_by(step.node, worker_of=node):
        _hand_over(job)
        return False
    if serving.is_away(step.node, worker_of=node):
        leases.release(lease)  # The sweep over jobs asks again, and gives the node up in the end.
        return False
    return True


def _finish(job: Job) -> bool:
    """End the job; return whether it goes on instead, since no target took the new version."""
    if job.status == Status.ROLLING_BACK:
        transitions.end_rollback(job, now=timezone.now())
    else:
        transitions.succeed(job, now=timezone.now())
    return job.status in Job.WORKED_ON


def _has_to_wait(job: Job, step: Step) -> bool:
    is_pause = step.name in (Action.PAUSE, Action.HOLD)
    if not is_pause or step.status != Step.Status.PENDING or job.is_promoted_fully:
        return False
    return step.wait_seconds != 0 or partial_failures.misses_threshold(job, _wave_of(job, step))


def _wave_of(job: Job, step: Step) -> int:
    return planning.moves_of(job)[step.move].wave


def _begin_wait(job: Job, step: Step) -> None:
    """Pause the job and give up its lease: a paused job has no worker."""
    journal.begin(step)
    move = planning.moves_of(job)[step.move]
    seconds = step.wait_seconds if move.expires_after is None else move.expires_after
    reason = "The old side is kept"
    if job.strategy_options.get("waves"):
        reason = partial_failures.describe(job, move.wave)
        if partial_failures.misses_threshold(job, move.wave):
            reason, seconds = f"{reason}, fewer than its success threshold", None
    elif step.name == Action.PAUSE:
        reason = f"Canary at {_share_of(job)} %"
    transitions.pause(
        job, reason=reason, seconds=seconds, on_expiry=move.on_expiry, now=timezone.now()
    )


def _share_of(job: Job) -> int:
    shares = job.steps.filter(name=Action.SHARE, started_at__isnull=False).order_by("-position")
    return shares.values_list("weight", flat=True).first() or 0


def _hand_over(job: Job) -> None:
    """Free the job and wake a worker for it: of another node, or another than this one, which stops."""
    job.lease_owner, job.lease_expires_at, job.waiting_since = "", None, timezone.now()
    job.save(update_fields=["lease_owner", "lease_expires_at", "waiting_since"])
    transitions.wake(job)


def _do(step_run: steps.StepRun) -> bool:
    """Perform the step and journal how it went. A database that is gone ends the run: the lease runs out."""
    try:
        outcome = steps.perform(step_run)
    except Interrupted as exc:
        return _is_still_ours(step_run, has_to_count=not isinstance(exc, NodeAway))
    except Inconclusive as exc:
        return _pause_to_ask(step_run, str(exc))
    except TransientFailure as exc:
        return _try_again(step_run, str(exc))
    except StepFailed as exc:
        return _fail(step_run, str(exc))
    except (db.Error, leases.LeaseLost):
        raise
    except OSError as exc:
        logger.exception("step failed on disk")
        return _fail(step_run, f"It failed on disk: {store.describe_disk(exc)}.")
    except Exception:
        logger.exception("step failed unexpectedly")
        return _fail(step_run, "An unexpected error; the log of the worker has it.")
    return _complete(step_run, outcome)


def _is_still_ours(step_run: steps.StepRun, *, has_to_count: bool) -> bool:
    """After an interruption: an aborted job goes on with its rollback, a lost one is left alone.

    A worker that stops and an agent behind a partition did not die of the step: its run does not count.
    """
    with step_run.lease.writing():
        if stopping.has_begun() or not has_to_count:
            Step.objects.filter(pk=step_run.step.pk).update(runs=F("runs") - 1)
        return True


def _complete(step_run: steps.StepRun, outcome: Outcome) -> bool:
    status = Step.Status.SKIPPED if outcome.is_skipped else Step.Status.SUCCEEDED
    with step_run.lease.writing() as job:
        message = retries.with_attempts(step_run.step, outcome.message)
        step_run.step.result = {**retries.kept(step_run.step), **outcome.result}
        watching.begin(step_run.step)
        measuring.begin(job, step_run.step)
        journal.end(step_run.step, status, message)
        if sha256 := outcome.result.get("sha256"):
            job.artifact_sha256 = sha256
        job.progress = journal.progress(job)
        job.save(update_fields=["artifact_sha256", "progress"])
    return True


def _try_again(step_run: steps.StepRun, reason: str) -> bool:
    """Journal the attempt, and do the step once more after a while; the last attempt fails the step."""
    limit = step_run.options.retries
    with step_run.lease.writing() as job:
        attempt = retries.note(step_run.step, reason)
        if step_run.step.name not in retries.REPEATED or attempt > limit:
            failure = retries.failure(step_run.step, reason)
            transitions.fail_step(job, step_run.step, reason=failure, now=timezone.now())
            return True
        retries.arm(step_run.step, of=limit + 1)
    with contextlib.suppress(Interrupted):
        step_run.lease.wait(retries.delay_seconds(step_run.options, attempt))
    return True


def _fail(step_run: steps.StepRun, reason: str) -> bool:
    with step_run.lease.writing() as job:
        transitions.fail_step(job, step_run.step, reason=reason, now=timezone.now())
    return True


def _pause_to_ask(step_run: steps.StepRun, reason: str) -> bool:
    """Inconclusive: pause until staff decide. Resumed, it runs again; promoted fully, without its metric."""
    if step_run.step.is_rollback:
        return _complete(step_run, Outcome(message=reason, is_skipped=True))
    with step_run.lease.writing() as job:
        if job.status != Status.RUNNING:
            return True
        journal.ask_again(step_run.step, reason)
        transitions.pause(job, reason=reason, seconds=None, now=timezone.now())
        leases.release(step_run.lease)
    return False
