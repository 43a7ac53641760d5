"""Advance a job, one step after the other. Any line may be the last that a worker reaches.

Each step is journaled before and after. What a step does looks first, so that it may run twice; after
a crash it runs again, and the disk says how far it had come.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django import db
from django.utils import timezone

from registry import operations as registry
from saga_project import errors
from updates import endings, gates, leases, planning, restarts, strategies
from updates.installers import directory, places, remote
from updates.models import Job, Step, Target
from updates.strategies import Action
from updates.work import CannotTell, Interrupted, Outcome, StepFailed, Work

logger = logging.getLogger(__name__)

#: A step that took its worker with it so often is not tried again.
MAX_RUNS = 5
PROGRESS_WRITTEN_EVERY_SECONDS = 0.5

Status = Job.Status


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One run of one step."""

    lease: leases.Lease
    job: Job
    step: Step
    options: strategies.Options


def run(job_pk: int, *, node: str) -> None:
    """Take the job and advance it for as long as its next step is this node's; then ring for the next."""
    lease = leases.take(job_pk)
    if lease is None:
        return
    try:
        with leases.kept(lease):
            while _advance(lease, node=node):
                pass
    except leases.LeaseLost:
        logger.info("job taken over or over", extra={"job": job_pk, "fence": lease.fence})
    except db.Error:
        # Whoever comes next need not wait for the lease to run out, if the database is back by now.
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
        if job.status == Status.QUEUED:
            endings.begin(job, now=timezone.now())
        # Somebody may have aborted it while we worked: from here on we do what it has become.
        lease.status = job.status
        leases.renew(lease)
        step = job.steps.exclude(status__in=Step.ENDED).order_by("position").first()
        if step is None:
            _finish(job)
            return False
        if step.node and step.node != node:
            _hand_over(job)
            return False
        if job.status == Status.ROLLING_BACK and not step.is_way_back:
            _end_step(step, Step.Status.FAILED, "Stopped.")
            return True
        if _has_to_wait(job, step):
            _begin_wait(job, step)
            leases.release(lease)
            return False
        if step.runs >= MAX_RUNS:
            _note_failure(job, step, f"The worker died {MAX_RUNS} times in this step.")
            return True
        _begin_step(step)
    task = _Task(
        lease=lease, job=job, step=step, options=strategies.read_options(job.strategy_options)
    )
    return _do(task)


def _finish(job: Job) -> None:
    if job.status == Status.ROLLING_BACK:
        endings.end_way_back(job, now=timezone.now())
    else:
        endings.succeed(job, now=timezone.now())


def _has_to_wait(job: Job, step: Step) -> bool:
    is_pause = step.name in (Action.PAUSE, Action.HOLD)
    return is_pause and step.status == Step.Status.PENDING and not job.is_promoted_fully


def _begin_wait(job: Job, step: Step) -> None:
    """Pause the job and let go of it: nobody works on a job that waits."""
    _begin_step(step)
    reason = (
        f"Canary at {_share_of(job)} %" if step.name == Action.PAUSE else "The old side is kept"
    )
    endings.pause(job, reason=reason, seconds=step.wait_seconds, now=timezone.now())


def _share_of(job: Job) -> int:
    shares = job.steps.filter(name=Action.SHARE, started_at__isnull=False).order_by("-position")
    return shares.values_list("weight", flat=True).first() or 0


def _hand_over(job: Job) -> None:
    job.lease_owner, job.lease_expires_at, job.waiting_since = "", None, timezone.now()
    job.save(update_fields=["lease_owner", "lease_expires_at", "waiting_since"])
    endings.ring(job)


def _begin_step(step: Step) -> None:
    step.status = Step.Status.RUNNING
    step.started_at = step.started_at or timezone.now()
    step.runs += 1
    step.save(update_fields=["status", "started_at", "runs"])
    Job.objects.filter(pk=step.job_id).update(waiting_since=None)


def _do(task: _Task) -> bool:
    """Perform the step and journal how it went. A database that is gone ends the run: the lease runs out."""
    try:
        outcome = _perform(task)
    except Interrupted:
        return _is_still_ours(task)
    except CannotTell as exc:
        return _pause_to_ask(task, str(exc))
    except StepFailed as exc:
        return _fail(task, str(exc))
    except (db.Error, leases.LeaseLost):
        raise
    except Exception:
        logger.exception("step failed unexpectedly", extra={"job": task.job.job_id})
        return _fail(task, "An unexpected error; the log of the worker has it.")
    return _complete(task, outcome)


def _is_still_ours(task: _Task) -> bool:
    """After an interruption: an aborted job goes on with its way back, a lost one is left alone."""
    with task.lease.writing():
        return True


def _complete(task: _Task, outcome: Outcome) -> bool:
    status = Step.Status.SKIPPED if outcome.is_skipped else Step.Status.SUCCEEDED
    with task.lease.writing() as job:
        task.step.result = outcome.result
        _end_step(task.step, status, outcome.message)
        if sha256 := outcome.result.get("sha256"):
            job.artifact_sha256 = sha256
        job.progress = _progress(job)
        job.save(update_fields=["artifact_sha256", "progress"])
    return True


def _end_step(step: Step, status: Step.Status, message: str) -> None:
    step.status, step.message, step.finished_at = status, message, timezone.now()
    step.progress = 100 if status == Step.Status.SUCCEEDED else step.progress
    step.save(update_fields=["status", "message", "finished_at", "progress", "result"])


def _progress(job: Job, *, of_this_step: int = 0) -> int:
    """Return the percent of the plan that is done, the step under way in proportion."""
    steps = job.steps.filter(is_way_back=False)
    done = steps.filter(status__in=Step.ENDED).count() * 100 + of_this_step
    return min(99, done // max(1, steps.count()))


def _fail(task: _Task, reason: str) -> bool:
    with task.lease.writing() as job:
        _note_failure(job, task.step, reason)
    return True


def _note_failure(job: Job, step: Step, reason: str) -> None:
    """Journal the failure and decide what follows; the caller has locked the job."""
    now = timezone.now()
    where = f"{step.name} {step.target_name}".strip()
    logger.warning("step failed", extra={"job": job.job_id, "step": where, "reason": reason})
    _end_step(step, Step.Status.FAILED, reason)
    if step.name == planning.CLEAN_UP or (step.is_way_back and step.name in planning.COURTESIES):
        return
    if step.is_way_back:
        endings.fail_way_back(job, reason=f"{where}: {reason}", now=now)
    elif job.status == Status.RUNNING:
        endings.stop(job, reason=f"{where}: {reason}", now=now)


def _pause_to_ask(task: _Task, reason: str) -> bool:
    """The gate cannot tell: people must. Resumed, it is asked again; promoted fully, its metric is not."""
    if task.step.is_way_back:
        return _complete(task, Outcome(message=reason, is_skipped=True))
    with task.lease.writing() as job:
        if job.status != Status.RUNNING:
            return True
        task.step.status, task.step.message = Step.Status.PENDING, reason
        task.step.runs = 0
        task.step.save(update_fields=["status", "message", "runs"])
        endings.pause(job, reason=reason, seconds=None, now=timezone.now())
        leases.release(task.lease)
    return False


# --- What the steps do --------------------------------------------------------------------------------


def _perform(task: _Task) -> Outcome:
    name = task.step.name
    if name in (Action.PAUSE, Action.HOLD):
        return _analyse(task)
    if name in (Action.SHARE, Action.CLEAR_SHARE):
        return _set_share(task)
    target = task.step.target
    if target is None:
        raise StepFailed(f"The target {task.step.target_name} was removed while the job ran.")
    if name in (Action.DRAIN, Action.UNDRAIN):
        return _drain(task, target, is_draining=name == Action.DRAIN)
    is_bare = task.step.is_way_back and not endings.previous_of_targets(task.job).get(target.name)
    if is_bare and name in (Action.RESTART, Action.HEALTH):
        return Outcome(message="Nothing ran here before.", is_skipped=True)
    if name == Action.HEALTH:
        return _check_health(task, target)
    # What follows leaves traces elsewhere: be sure once more that the job is ours.
    task.lease.check()
    return _installing(target, name)(_work(task, target))


def _installing(target: Target, name: str) -> Callable[[Work], Outcome]:
    if name == Action.RESTART:
        return restarts.restart
    if target.installer == Target.Installer.DIRECTORY:
        return directory.STEPS[name]
    return remote.STEPS[name]


def _work(task: _Task, target: Target) -> Work:
    job, policy = task.job, getattr(task.job.service, "policy", None)
    is_signed = bool(policy and policy.requires_signature and job.kind == Job.Kind.DEPLOY)
    deadline_seconds = float(task.options.progress_deadline_seconds)
    return Work(
        service_name=job.service.name,
        kind=job.kind,
        version=job.version,
        job_id=job.job_id,
        target=target,
        fence=task.lease.fence,
        deadline_seconds=deadline_seconds,
        artifact_url=job.artifact_url,
        artifact_type=job.artifact_type,
        checksum=job.checksum,
        artifact_sha256=job.artifact_sha256,
        signature=job.release.signature if job.release else "",
        is_signature_required=is_signed,
        signing_keys=tuple(policy.signing_keys) if is_signed and policy else (),
        previous=endings.previous_of_targets(job).get(target.name),
        root=places.install_root(target, job.service.name),
        checkpoint=partial(_checkpoint, task, ends_at=time.monotonic() + deadline_seconds),
        report=_Reporter(task),
    )


def _checkpoint(task: _Task, *, ends_at: float) -> None:
    """End a step that was stopped, or that is not done within the progress deadline."""
    task.lease.checkpoint()
    if time.monotonic() > ends_at:
        seconds = task.options.progress_deadline_seconds
        raise StepFailed(f"Not done within the progress deadline of {seconds} s.")


class _Reporter:
    """Writes how far a step is, at most twice a second, and only while the job is ours."""

    def __init__(self, task: _Task) -> None:
        self._task = task
        self._written_at = 0.0

    def __call__(self, percent: int, message: str) -> None:
        now = time.monotonic()
        if now - self._written_at < PROGRESS_WRITTEN_EVERY_SECONDS:
            return
        self._written_at = now
        job, fence = self._task.job, self._task.lease.fence
        Step.objects.filter(pk=self._task.step.pk, job__fence=fence).update(
            progress=percent, message=message
        )
        if not self._task.step.is_way_back:
            share = _progress(job, of_this_step=percent)
            Job.objects.filter(pk=job.pk, fence=fence).update(progress=share)


def _tell_registry(task: _Task, tell: Callable[[], None]) -> str:
    """Change the registry in a transaction that holds our fence, so that no late worker does it.

    Without Redis the rows are written all the same, and readers see them once it is back.
    """
    try:
        with task.lease.writing():
            tell()
    except errors.RedisUnavailable:
        return " Redis is not available: lookups know it once it is back."
    return ""


def _set_share(task: _Task) -> Outcome:
    name, version, percent = task.job.service.name, task.job.version, task.step.weight or 0
    if task.step.name == Action.CLEAR_SHARE:
        note = _tell_registry(task, partial(registry.clear_canary, name))
        return Outcome(message=f"Lookups go to all instances alike.{note}")
    tell = partial(registry.set_canary, name, version=version, percent=percent)
    note = _tell_registry(task, tell)
    return Outcome(message=f"{version} gets {percent} % of the lookups.{note}")


def _drain(task: _Task, target: Target, *, is_draining: bool) -> Outcome:
    name, instance_id = task.job.service.name, target.instance_id
    tell = partial(registry.set_draining, name, instance_id, is_draining=is_draining)
    note = _tell_registry(task, tell)
    if is_draining:
        task.lease.wait(target.drain_seconds)
    where = "is out of" if is_draining else "is in"
    return Outcome(message=f"Instance {instance_id} {where} the lookups.{note}")


def _check_health(task: _Task, target: Target) -> Outcome:
    """The instance must have beaten since it was restarted (or switched, where nothing restarts it)."""
    changes = task.job.steps.filter(
        target_name=target.name,
        name__in=(Action.SWITCH, Action.RESTORE, Action.RESTART),
        started_at__isnull=False,
    )
    changed_at = changes.order_by("-position").values_list("started_at", flat=True).first()
    work = _work(task, target)
    if task.step.is_way_back:
        work = dataclasses.replace(work, version=work.previous or "")
    return gates.check(
        work,
        since=changed_at or task.job.created_at,
        wait=task.lease.wait,
        # On the way back a metric still shows what the bad release did.
        has_metric=not task.step.is_way_back and not task.job.is_promoted_fully,
    )


def _analyse(task: _Task) -> Outcome:
    """After a pause: the metrics of the targets that run the new version must be good, or good again."""
    switched = task.job.steps.filter(
        name=Action.SWITCH, status=Step.Status.SUCCEEDED, is_way_back=False
    ).select_related("target")
    targets = [step.target for step in switched if step.target and step.target.metric_query]
    if task.job.is_promoted_fully or not targets:
        return Outcome(message="The wait is over.")
    return Outcome(message=" ".join(_measure(task, target) for target in targets))


def _measure(task: _Task, target: Target) -> str:
    for failures in range(1, task.options.abort_threshold + 1):
        try:
            return gates.measure(target)
        except StepFailed:
            if failures == task.options.abort_threshold:
                raise
            task.lease.wait(gates.METRIC_INTERVAL_SECONDS)
    raise AssertionError("unreachable")
