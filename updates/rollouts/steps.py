"""The action of each step: on disk, in the registry, or at a gate.

Whatever is done here looks first, so that it may be done twice.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from registry import operations as registry
from saga_project.shared import errors
from updates.artifacts import uploads
from updates.artifacts.installers import container, hooks, places
from updates.artifacts.installers.hooks import Hook
from updates.models import Job, Release, Step, Target, policy_of
from updates.releases import credentials
from updates.rollouts import (
    actions,
    environments,
    gates,
    journal,
    leases,
    measuring,
    outcomes,
    restarts,
    slots,
    strategies,
    strategy_options,
    watching,
)
from updates.rollouts.agents import orders, serving
from updates.rollouts.strategies import Action
from updates.step_context import Outcome, StepFailed, Work

PROGRESS_WRITTEN_EVERY_SECONDS = 0.5
#: A hook has a timeout of its own; its step ends a little later than that.
HOOK_GRACE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run of one step."""

    lease: leases.Lease
    job: Job
    step: Step
    options: strategy_options.Options


def perform(task: Task) -> Outcome:
    """Do the step; raises StepFailed, Inconclusive, Interrupted, LeaseLost."""
    name = task.step.name
    if name in _OF_ALL_TARGETS:
        return _OF_ALL_TARGETS[name](task)
    target = task.step.target
    if target is None:
        raise StepFailed(f"The target {task.step.target_name} was removed while the job ran.")
    if name in (Action.DRAIN, Action.SWITCH) and not task.step.is_way_back:
        _wait_for_room(task, target)
    if name in (Action.DRAIN, Action.UNDRAIN):
        return _drain(task, target, is_draining=name == Action.DRAIN)
    is_bare = task.step.is_way_back and not outcomes.previous_of_targets(task.job).get(target.name)
    if is_bare and name in (Action.HEALTH, Hook.AFTER_ROLLBACK):
        return Outcome(message="Nothing ran here before.", is_skipped=True)
    if name == Action.HEALTH:
        return _check_health(task, target)
    work = _work(task, target)
    # What follows leaves traces elsewhere: be sure once more that the job is ours, and was not slept over.
    task.lease.check()
    task.lease.checkpoint()
    if is_bare and name == Action.RESTART:
        return _do(dataclasses.replace(work, is_way_back=False), actions.STOP, node=task.step.node)
    outcome = _do(work, name, node=task.step.node)
    if is_bare and name == Action.RESTORE and restarts.is_left_running(target):
        forward = dataclasses.replace(work, is_way_back=False)
        stopped = _do(forward, actions.STOP, node=task.step.node)
        return Outcome(message=f"{outcome.message} {stopped.message}", result=stopped.result)
    return outcome


def _do(work: Work, action: str, *, node: str) -> Outcome:
    """Do what the node does in this step, here or by the node's agent."""
    if not serving.is_agent(node):
        return actions.find(work.target, action)(work)
    if work.target.installer in (Target.Installer.HTTP, Target.Installer.IMAGE):
        raise StepFailed(
            f"The agent of node {node!r} calls no deployer; give the target a node of workers."
        )
    return orders.perform(work, action, node=node)


def _work(task: Task, target: Target) -> Work:
    job, policy = task.job, policy_of(task.job.service)
    previous = outcomes.previous_of_targets(job).get(target.name)
    started = previous if task.step.is_way_back else None
    deadline_seconds = float(task.options.progress_deadline_seconds)
    if own := hooks.timeout_seconds(target, task.step.name):
        deadline_seconds = own + HOOK_GRACE_SECONDS
    return Work(
        service_name=job.service.name,
        kind=job.kind,
        version=job.version,
        job_id=job.job_id,
        step=task.step.position,
        target=target,
        fence=task.lease.fence,
        deadline_seconds=deadline_seconds,
        artifact_url=job.artifact_url,
        artifact_type=job.artifact_type,
        checksum=job.checksum,
        artifact_sha256=job.artifact_sha256,
        signature=job.release.signature if job.release else "",
        is_way_back=task.step.is_way_back,
        is_signature_required=policy.requires_signature,
        signing_keys=tuple(policy.signing_keys) if policy.requires_signature else (),
        previous=previous,
        previous_reference=_previous_reference(job, target, previous),
        root=places.install_root(target, job.service.name),
        environment=environments.of_step(job, target, restored=started),
        artifact_headers=partial(credentials.headers_for, job.artifact_url, service=job.service),
        stored_artifact=partial(uploads.stored, job.artifact_url, service_name=job.service.name),
        registry_login=partial(credentials.login_for, job.artifact_url, service=job.service),
        checkpoint=partial(_checkpoint, task, deadline_seconds, time.monotonic()),
        report=_Reporter(task),
    )


def _previous_reference(job: Job, target: Target, previous: str | None) -> str | None:
    """Return the image that ran before, where a container may have to be made of it again."""
    if previous is None or target.installer != Target.Installer.CONTAINER:
        return None
    release = Release.objects.filter(service=job.service_id, version=previous).first()
    return container.reference(release.artifact_url, release.checksum) if release else None


def _checkpoint(task: Task, deadline_seconds: float, began_at: float) -> None:
    """End a step that was stopped, or that is not done within its deadline."""
    task.lease.checkpoint()
    if time.monotonic() > began_at + deadline_seconds:
        raise StepFailed(f"Not done within the progress deadline of {deadline_seconds:.0f} s.")


class _Reporter:
    """Writes how far a step is, at most twice a second, and only while the job is ours."""

    def __init__(self, task: Task) -> None:
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
            share = journal.progress(job, of_this_step=percent)
            Job.objects.filter(pk=job.pk, fence=fence).update(progress=share)


def _report_to_registry(task: Task, tell: Callable[[], None]) -> str:
    """Change the registry in a transaction that holds our fence, so that no late worker does it.

    Without Redis the rows are written all the same, and readers see them once it is back.
    """
    try:
        with task.lease.writing():
            tell()
    except errors.RedisUnavailable:
        return " Redis is not available: lookups know it once it is back."
    return ""


def _set_share(task: Task) -> Outcome:
    name, version, percent = task.job.service.name, task.job.version, task.step.weight or 0
    if task.step.name == Action.CLEAR_SHARE:
        tell_all = partial(registry.set_canary, name, version=version, percent=None)
        note = _report_to_registry(task, tell_all)
        return Outcome(message=f"Lookups go to all instances alike.{note}")
    tell = partial(registry.set_canary, name, version=version, percent=percent)
    note = _report_to_registry(task, tell)
    return Outcome(message=f"{version} gets {percent} % of the lookups.{note}")


def _swap(task: Task) -> Outcome:
    """Move all lookups to the slot that was prepared, or back."""
    is_back = task.step.is_way_back
    note = _report_to_registry(task, partial(slots.swap, task.job, is_back=is_back))
    return Outcome(message=f"All lookups go to the {'previous' if is_back else 'new'} slot.{note}")


def _drain(task: Task, target: Target, *, is_draining: bool) -> Outcome:
    name, instance_id = task.job.service.name, target.instance_id
    tell = partial(registry.set_draining, name, instance_id, is_draining=is_draining)
    note = _report_to_registry(task, tell)
    if is_draining:
        task.lease.wait(target.drain_seconds)
    where = "is out of" if is_draining else "is in"
    return Outcome(message=f"Instance {instance_id} {where} the lookups.{note}")


def _check_health(task: Task, target: Target) -> Outcome:
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
        # During a rollback a metric still shows what the bad release did.
        has_metric=not task.step.is_way_back and not task.job.is_promoted_fully,
    )


def _analyse(task: Task) -> Outcome:
    """After a pause: the metrics of the targets that run the new version must be good, or good again."""
    switched = task.job.steps.filter(
        name=Action.SWITCH, status=Step.Status.SUCCEEDED, is_way_back=False
    ).select_related("target")
    targets = [step.target for step in switched if step.target and step.target.metric_query]
    if task.job.is_promoted_fully or not (targets or task.job.metrics):
        return Outcome(message="The wait is over.")
    messages = [_measure(task, target) for target in targets]
    if task.job.metrics:
        messages.append(measuring.settle(task.job, wait=task.lease.wait))
    return Outcome(message=" ".join(messages))


def _bake(task: Task) -> Outcome:
    """Keep watch for a while before the job ends; promoted fully, every target is checked once more only."""
    seconds = 0 if task.job.is_promoted_fully else task.step.wait_seconds or 0
    node = settings.SAGA_NODE_NAME
    message = watching.settle(task.job, node=node, seconds=seconds, wait=task.lease.wait)
    if task.job.metrics and not task.job.is_promoted_fully:
        message = f"{message} {measuring.settle(task.job, wait=task.lease.wait)}"
    return Outcome(message=message)


def _wait_for_room(task: Task, target: Target) -> None:
    if task.job.is_promoted_fully or task.job.strategy == strategies.BLUE_GREEN:
        return
    watching.wait_for_room(
        task.job,
        target,
        node=settings.SAGA_NODE_NAME,
        deadline_seconds=task.options.progress_deadline_seconds,
        wait=task.lease.wait,
    )


def _measure(task: Task, target: Target) -> str:
    for failures in range(1, task.options.abort_threshold + 1):
        try:
            return gates.measure(target)
        except StepFailed:
            if failures == task.options.abort_threshold:
                raise
            task.lease.wait(gates.METRIC_INTERVAL_SECONDS)
    raise AssertionError("unreachable")


_OF_ALL_TARGETS: dict[str, Callable[[Task], Outcome]] = {
    Action.PAUSE: _analyse,
    Action.HOLD: _analyse,
    Action.BAKE: _bake,
    Action.SWAP: _swap,
    Action.SHARE: _set_share,
    Action.CLEAR_SHARE: _set_share,
}
