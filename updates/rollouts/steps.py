"""The action of each step: on disk, in the registry, or at a gate.

Each action looks at the state first, so that it can be repeated.
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
from updates.step_context import Outcome, StepContext, StepFailed

PROGRESS_WRITTEN_EVERY_SECONDS = 0.5
#: A hook has a timeout of its own; its step ends a little later than that.
HOOK_GRACE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """One run of one step."""

    lease: leases.Lease
    job: Job
    step: Step
    options: strategy_options.Options


def perform(step_run: StepRun) -> Outcome:
    """Do the step; raises StepFailed, Inconclusive, Interrupted, LeaseLost."""
    name = step_run.step.name
    if name in _OF_ALL_TARGETS:
        return _OF_ALL_TARGETS[name](step_run)
    target = step_run.step.target
    if target is None:
        raise StepFailed(f"The target {step_run.step.target_name} was removed while the job ran.")
    if name in (Action.DRAIN, Action.SWITCH) and not step_run.step.is_rollback:
        _wait_for_room(step_run, target)
    if name in (Action.DRAIN, Action.UNDRAIN):
        return _drain(step_run, target, is_draining=name == Action.DRAIN)
    is_bare = step_run.step.is_rollback and not outcomes.previous_of_targets(step_run.job).get(
        target.name
    )
    if is_bare and name in (Action.HEALTH, Hook.AFTER_ROLLBACK):
        return Outcome(message="Nothing ran here before.", is_skipped=True)
    if name == Action.HEALTH:
        return _check_health(step_run, target)
    context = _context(step_run, target)
    # What follows has effects elsewhere: check again that the lease is held and the worker was not frozen.
    step_run.lease.check()
    step_run.lease.checkpoint()
    if is_bare and name == Action.RESTART:
        return _do(
            dataclasses.replace(context, is_rollback=False), actions.STOP, node=step_run.step.node
        )
    outcome = _do(context, name, node=step_run.step.node)
    if is_bare and name == Action.RESTORE and restarts.is_left_running(target):
        forward = dataclasses.replace(context, is_rollback=False)
        stopped = _do(forward, actions.STOP, node=step_run.step.node)
        return Outcome(message=f"{outcome.message} {stopped.message}", result=stopped.result)
    return outcome


def _do(context: StepContext, action: str, *, node: str) -> Outcome:
    """Do what the node does in this step, here or by the node's agent."""
    if not serving.is_agent(node):
        return actions.find(context.target, action)(context)
    if context.target.installer in (Target.Installer.HTTP, Target.Installer.IMAGE):
        raise StepFailed(
            f"The agent of node {node!r} calls no deployer; give the target a node of workers."
        )
    return orders.perform(context, action, node=node)


def _context(step_run: StepRun, target: Target) -> StepContext:
    job, policy = step_run.job, policy_of(step_run.job.service)
    previous = outcomes.previous_of_targets(job).get(target.name)
    started = previous if step_run.step.is_rollback else None
    deadline_seconds = float(step_run.options.progress_deadline_seconds)
    if own := hooks.timeout_seconds(target, step_run.step.name):
        deadline_seconds = own + HOOK_GRACE_SECONDS
    return StepContext(
        service_name=job.service.name,
        kind=job.kind,
        version=job.version,
        job_id=job.job_id,
        step=step_run.step.position,
        target=target,
        fence=step_run.lease.fence,
        deadline_seconds=deadline_seconds,
        artifact_url=job.artifact_url,
        artifact_type=job.artifact_type,
        checksum=job.checksum,
        artifact_sha256=job.artifact_sha256,
        signature=job.release.signature if job.release else "",
        is_rollback=step_run.step.is_rollback,
        is_signature_required=policy.requires_signature,
        signing_keys=tuple(policy.signing_keys) if policy.requires_signature else (),
        previous=previous,
        previous_reference=_previous_reference(job, target, previous),
        root=places.install_root(target, job.service.name),
        environment=environments.of_step(job, target, restored=started),
        artifact_headers=partial(credentials.headers_for, job.artifact_url, service=job.service),
        stored_artifact=partial(uploads.stored, job.artifact_url, service_name=job.service.name),
        registry_login=partial(credentials.login_for, job.artifact_url, service=job.service),
        checkpoint=partial(_checkpoint, step_run, deadline_seconds, time.monotonic()),
        report=_Reporter(step_run),
    )


def _previous_reference(job: Job, target: Target, previous: str | None) -> str | None:
    """Return the image that ran before, where a container may have to be made of it again."""
    if previous is None or target.installer != Target.Installer.CONTAINER:
        return None
    release = Release.objects.filter(service=job.service_id, version=previous).first()
    return container.reference(release.artifact_url, release.checksum) if release else None


def _checkpoint(step_run: StepRun, deadline_seconds: float, began_at: float) -> None:
    """End a step that was stopped, or that is not done within its deadline."""
    step_run.lease.checkpoint()
    if time.monotonic() > began_at + deadline_seconds:
        raise StepFailed(f"Not done within the progress deadline of {deadline_seconds:.0f} s.")


class _Reporter:
    """Writes how far a step is, at most twice a second, and only while the job is ours."""

    def __init__(self, step_run: StepRun) -> None:
        self._step_run = step_run
        self._written_at = 0.0

    def __call__(self, percent: int, message: str) -> None:
        now = time.monotonic()
        if now - self._written_at < PROGRESS_WRITTEN_EVERY_SECONDS:
            return
        self._written_at = now
        job, fence = self._step_run.job, self._step_run.lease.fence
        Step.objects.filter(pk=self._step_run.step.pk, job__fence=fence).update(
            progress=percent, message=message
        )
        if not self._step_run.step.is_rollback:
            share = journal.progress(job, of_this_step=percent)
            Job.objects.filter(pk=job.pk, fence=fence).update(progress=share)


def _report_to_registry(step_run: StepRun, write: Callable[[], None]) -> str:
    """Change the registry in a transaction that holds our fence, so that no late worker does it.

    Without Redis the rows are written all the same, and readers see them once it is back.
    """
    try:
        with step_run.lease.writing():
            write()
    except errors.RedisUnavailable:
        return " Redis is not available: lookups know it once it is back."
    return ""


def _set_share(step_run: StepRun) -> Outcome:
    name, version, percent = (
        step_run.job.service.name,
        step_run.job.version,
        step_run.step.weight or 0,
    )
    if step_run.step.name == Action.CLEAR_SHARE:
        write = partial(registry.set_canary, name, version=version, percent=None)
        note = _report_to_registry(step_run, write)
        return Outcome(message=f"Lookups go to all instances alike.{note}")
    write = partial(registry.set_canary, name, version=version, percent=percent)
    note = _report_to_registry(step_run, write)
    return Outcome(message=f"{version} gets {percent} % of the lookups.{note}")


def _swap(step_run: StepRun) -> Outcome:
    """Move all lookups to the slot that was prepared, or back."""
    is_back = step_run.step.is_rollback
    note = _report_to_registry(step_run, partial(slots.swap, step_run.job, is_back=is_back))
    return Outcome(message=f"All lookups go to the {'previous' if is_back else 'new'} slot.{note}")


def _drain(step_run: StepRun, target: Target, *, is_draining: bool) -> Outcome:
    name, instance_id = step_run.job.service.name, target.instance_id
    write = partial(registry.set_draining, name, instance_id, is_draining=is_draining)
    note = _report_to_registry(step_run, write)
    if is_draining:
        step_run.lease.wait(target.drain_seconds)
    where = "is out of" if is_draining else "is in"
    return Outcome(message=f"Instance {instance_id} {where} the lookups.{note}")


def _check_health(step_run: StepRun, target: Target) -> Outcome:
    """The instance must have sent a heartbeat since its restart (or switch, where nothing restarts it)."""
    changes = step_run.job.steps.filter(
        target_name=target.name,
        name__in=(Action.SWITCH, Action.RESTORE, Action.RESTART),
        started_at__isnull=False,
    )
    changed_at = changes.order_by("-position").values_list("started_at", flat=True).first()
    context = _context(step_run, target)
    if step_run.step.is_rollback:
        context = dataclasses.replace(context, version=context.previous or "")
    return gates.check(
        context,
        since=changed_at or step_run.job.created_at,
        wait=step_run.lease.wait,
        # During a rollback a metric still shows what the bad release did.
        has_metric=not step_run.step.is_rollback and not step_run.job.is_promoted_fully,
    )


def _analyse(step_run: StepRun) -> Outcome:
    """After a pause: the metrics of the targets that run the new version must be good, or good again."""
    switched = step_run.job.steps.filter(
        name=Action.SWITCH, status=Step.Status.SUCCEEDED, is_rollback=False
    ).select_related("target")
    targets = [step.target for step in switched if step.target and step.target.metric_query]
    if step_run.job.is_promoted_fully or not (targets or step_run.job.metrics):
        return Outcome(message="The wait is over.")
    messages = [_measure(step_run, target) for target in targets]
    if step_run.job.metrics:
        messages.append(measuring.settle(step_run.job, wait=step_run.lease.wait))
    return Outcome(message=" ".join(messages))


def _bake(step_run: StepRun) -> Outcome:
    """Keep watch for a while before the job ends; promoted fully, every target is checked once more only."""
    seconds = 0 if step_run.job.is_promoted_fully else step_run.step.wait_seconds or 0
    node = settings.SAGA_NODE_NAME
    message = watching.settle(step_run.job, node=node, seconds=seconds, wait=step_run.lease.wait)
    if step_run.job.metrics and not step_run.job.is_promoted_fully:
        message = f"{message} {measuring.settle(step_run.job, wait=step_run.lease.wait)}"
    return Outcome(message=message)


def _wait_for_room(step_run: StepRun, target: Target) -> None:
    if step_run.job.is_promoted_fully or step_run.job.strategy == strategies.BLUE_GREEN:
        return
    watching.wait_for_room(
        step_run.job,
        target,
        node=settings.SAGA_NODE_NAME,
        deadline_seconds=step_run.options.progress_deadline_seconds,
        wait=step_run.lease.wait,
    )


def _measure(step_run: StepRun, target: Target) -> str:
    for failures in range(1, step_run.options.abort_threshold + 1):
        try:
            return gates.measure(target)
        except StepFailed:
            if failures == step_run.options.abort_threshold:
                raise
            step_run.lease.wait(gates.METRIC_INTERVAL_SECONDS)
    raise AssertionError("unreachable")


_OF_ALL_TARGETS: dict[str, Callable[[StepRun], Outcome]] = {
    Action.PAUSE: _analyse,
    Action.HOLD: _analyse,
    Action.BAKE: _bake,
    Action.SWAP: _swap,
    Action.SHARE: _set_share,
    Action.CLEAR_SHARE: _set_share,
}
