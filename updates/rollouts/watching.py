"""Watch every switched instance until its job ends: heartbeat, health URL and metric.

A round asks each watched target of one node. Rounds run every second or two, in a task of that node's
worker, whatever the job is doing: a step of another target, a pause, or nothing. The runner adds rounds of
its own before it drains a further target and before the job ends. So many failures of one target in a row
as the strategy's ``failure_threshold`` turn the job around. An inconclusive check counts neither way.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from registry import directory
from registry.models import Instance
from saga_project.shared import errors, wakeups
from updates.artifacts import health
from updates.models import Job, Step, Target, Watch
from updates.rollouts import (
    gates,
    nodes,
    strategies,
    strategy_options,
    transitions,
)
from updates.rollouts.agents import orders, serving
from updates.rollouts.strategies import Action
from updates.step_context import Inconclusive, StepFailed

ROUND_SECONDS = 1.0
#: A round that another worker has just made is not repeated.
FRESH = dt.timedelta(seconds=0.8)
#: A check without a result for this long was lost with its worker.
LOST = dt.timedelta(seconds=15)
#: How long a decision waits for a check that is inconclusive, or due on another node.
PATIENCE_SECONDS = 60.0
MAX_AT_ONCE = 8
WATCHED = (Job.Status.RUNNING, Job.Status.PAUSED)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How a target is. ``is_well`` is None where the check was inconclusive."""

    is_well: bool | None
    message: str = ""
    has_heartbeat: bool = False


def begin(step: Step) -> None:
    """Watch the step's target from now on: its gate has opened, or it has none and is back in lookups."""
    target = step.target
    if target is None or step.is_rollback:
        return
    if step.name == (Action.HEALTH if target.has_health_gate else Action.UNDRAIN):
        Watch.objects.get_or_create(
            job=step.job,
            target=target,
            defaults={
                "node": target.node,
                "began_at": timezone.now(),
                "has_heartbeat": target.is_registry_gate,
            },
        )


# --- Rounds -----------------------------------------------------------------------------------------


def wake_due() -> None:
    """Ask a worker of each node for a round over its targets; called every second."""
    due = Watch.objects.filter(_is_due(), job__status__in=WATCHED)
    pairs = list(due.values_list("job_id", "node").distinct().order_by("job_id", "node"))
    agents = set(serving.names()) if pairs else set()
    for job_pk, node in pairs:
        queue = serving.ANY_WORKER if node in agents else nodes.queue_of(node)
        wakeups.wake("updates.watch", job_pk, queue=queue)


def _is_due() -> Q:
    """The last check began a while ago, and its result is on record, or lost with its worker."""
    is_over = Q(checked_at__gte=F("claimed_at")) | Q(claimed_at__lt=Now() - LOST)
    return Q(claimed_at=None) | (Q(claimed_at__lt=Now() - FRESH) & is_over)


def make_round(job_pk: int, *, node: str) -> None:
    """Check the targets of one node, and turn the job around where one has failed too often."""
    agents = serving.names()
    watches = _claim(job_pk, [node, *agents])
    if not watches:
        return
    with ThreadPoolExecutor(max_workers=min(MAX_AT_ONCE, len(watches))) as pool:
        findings = list(pool.map(partial(_find, agents=agents), watches))
    _record(job_pk, list(zip(watches, findings, strict=True)))


def _claim(job_pk: int, served: Sequence[str]) -> list[Watch]:
    """Return the watches that are due, claimed so that no other round checks them at the same time."""
    with transaction.atomic():
        due = Watch.objects.select_for_update(of=("self",), skip_locked=True).filter(
            _is_due(), job=job_pk, node__in=served, job__status__in=WATCHED
        )
        watches = list(due.select_related("job__service", "target").order_by("pk"))
        claimed = Watch.objects.filter(pk__in=[watch.pk for watch in watches])
        claimed.update(claimed_at=Now())
        times = dict(claimed.values_list("pk", "claimed_at"))
    for watch in watches:
        watch.claimed_at = times[watch.pk]
    return watches


def _record(job_pk: int, found: Sequence[tuple[Watch, Finding]]) -> None:
    with transaction.atomic():
        job = (
            Job.objects.select_for_update(of=("self",))
            .select_related("service", "release")
            .filter(pk=job_pk, status__in=WATCHED)
            .first()
        )
        if job is None:
            return
        # A target may have been removed meanwhile, and its watch with it.
        rows = Watch.objects.select_related("target").in_bulk([watch.pk for watch, _ in found])
        for watch, finding in found:
            if watch.pk in rows:
                _note(rows[watch.pk], finding, checked_at=watch.claimed_at)
        threshold = strategy_options.read(job.strategy_options).failure_threshold
        sick = next((row for row in rows.values() if row.failures >= threshold), None)
        if sick is not None:
            times = f"{sick.failures} times in a row" if sick.failures > 1 else "once"
            reason = f"{sick.target.name} is not well after its switch ({times}): {sick.message}."
            transitions.stop(job, reason=reason, now=timezone.now())


def _note(watch: Watch, finding: Finding, *, checked_at: dt.datetime | None) -> None:
    """Record a result, and when its check began: the result says nothing of the time before."""
    watch.checked_at = checked_at
    watch.is_well, watch.message = finding.is_well, finding.message
    watch.has_heartbeat = watch.has_heartbeat or finding.has_heartbeat
    if finding.is_well is not None:
        watch.failures = 0 if finding.is_well else watch.failures + 1
    watch.save(update_fields=["checked_at", "is_well", "message", "has_heartbeat", "failures"])


def _find(watch: Watch, *, agents: Collection[str]) -> Finding:
    """Ask for everything the target is watched by; only an agent is asked through the database."""
    target = watch.target
    is_agents = target.node in agents
    probe = partial(orders.probe_in_thread, target.node) if is_agents else health.probe
    if target.health_url and (fault := probe(target.health_url)):
        return Finding(is_well=False, message=fault)
    heartbeat = _find_heartbeat(watch)
    if heartbeat.is_well is not True or not target.metric_query or watch.job.is_promoted_fully:
        return heartbeat
    try:
        gates.measure(target)
    except StepFailed as exc:
        return Finding(is_well=False, message=str(exc).removesuffix("."))
    except Inconclusive as exc:
        return Finding(is_well=None, message=str(exc).removesuffix("."))
    return heartbeat


def _find_heartbeat(watch: Watch) -> Finding:
    instance_id = watch.target.instance_id
    if not instance_id:
        return Finding(is_well=True)
    try:
        entry = directory.find(watch.job.service.name)
    except errors.Unavailable as exc:
        # A target that need not register is not held up by a registry that cannot be asked.
        is_well = None if watch.target.is_registry_gate else True
        return Finding(is_well=is_well, message=exc.message.removesuffix("."))
    live = entry.live(directory.now_us()) if entry else []
    row = next((row for row in live if row.instance_id == instance_id), None)
    if row is None and watch.has_heartbeat:
        return Finding(is_well=False, message=f"the heartbeat of instance {instance_id} expired")
    if row is None:
        return Finding(is_well=True)
    has_heartbeat = row.last_heartbeat_at > watch.began_at
    if row.health == Instance.Health.CRITICAL and (has_heartbeat or watch.has_heartbeat):
        message = f"instance {instance_id} says that it is critical"
        return Finding(is_well=False, message=message, has_heartbeat=has_heartbeat)
    return Finding(is_well=True, has_heartbeat=has_heartbeat)


# --- What the runner waits for ----------------------------------------------------------------------


def settle(job: Job, *, node: str, seconds: float, wait: Callable[[float], None]) -> str:
    """Watch for so long, and until every watched target was well in a check after that.

    Raises Inconclusive where a check stays inconclusive. A target that fails too often ends the step,
    because the job turns around.
    """
    began_at, began = timezone.now() + dt.timedelta(seconds=seconds), time.monotonic()
    while True:
        make_round(job.pk, node=node)
        watches = list(Watch.objects.filter(job=job).select_related("target"))
        open_ones = [watch for watch in watches if not _is_settled(watch, began_at)]
        elapsed = time.monotonic() - began
        if not open_ones and elapsed >= seconds:
            return (
                f"All {len(watches)} watched targets are well." if watches else "None is watched."
            )
        is_failing = any(watch.is_well is False for watch in open_ones)
        if elapsed > seconds + PATIENCE_SECONDS and not is_failing:
            reason = open_ones[0].message or "no worker of its node has checked it"
            raise Inconclusive(f"{open_ones[0].target.name} cannot be checked: {reason}.")
        wait(ROUND_SECONDS)


def _is_settled(watch: Watch, since: dt.datetime) -> bool:
    is_fresh = watch.checked_at is not None and watch.checked_at >= since - FRESH
    return bool(is_fresh and watch.is_well)


def wait_for_room(
    job: Job,
    target: Target,
    *,
    node: str,
    deadline_seconds: float,
    wait: Callable[[float], None],
) -> None:
    """Wait until draining the target leaves enough others in service; raises Inconclusive if it does not."""
    others = _others(job, target)
    if not others:
        return
    options = strategy_options.read(job.strategy_options)
    planned = len({raw["target"] for raw in job.moves if raw["target"]})
    allowed = strategies.max_unavailable(options, targets=planned)
    ends_at = time.monotonic() + deadline_seconds
    known = _unhealthy_before(job, others, node=node)
    while True:
        make_round(job.pk, node=node)
        sick = _unhealthy(job, others, node=node).keys() - known
        out = planned - len(others)
        if not sick or out + len(sick) <= allowed:
            return
        if time.monotonic() > ends_at:
            names = ", ".join(sorted(sick))
            raise Inconclusive(
                f"{target.name} stays in service: of {planned} targets {allowed} may be out, and"
                f" {names} is not well."
            )
        wait(ROUND_SECONDS)


def _unhealthy_before(job: Job, targets: Sequence[Target], *, node: str) -> set[str]:
    """Return which targets were not well before the job touched the first; they hold nothing up."""
    if job.sick_before is None:
        job.sick_before = sorted(_unhealthy(job, targets, node=node))
        job.save(update_fields=["sick_before"])
    return set(job.sick_before)


def _others(job: Job, target: Target) -> list[Target]:
    """Return the targets of the plan that no step is working on."""
    begun = Q(name__in=(Action.DRAIN, Action.SWITCH), started_at__isnull=False)
    mine = job.steps.filter(is_rollback=False).exclude(target=None)
    working = {target.pk}
    for pk in mine.filter(begun).values_list("target_id", flat=True).distinct():
        left = mine.filter(target_id=pk, name__in=_IN_SERVICE_AGAIN).exclude(status__in=Step.ENDED)
        if left.exists():
            working.add(pk)
    pks = set(mine.values_list("target_id", flat=True)) - working
    return list(Target.objects.filter(pk__in=pks).order_by("position", "name"))


_IN_SERVICE_AGAIN = (Action.SWITCH, Action.RESTART, Action.HEALTH, Action.UNDRAIN)


def _unhealthy(job: Job, targets: Sequence[Target], *, node: str) -> dict[str, str]:
    """Return why which of these targets are not well, those with the old version included."""
    watches = {watch.target_id: watch for watch in Watch.objects.filter(job=job)}
    sick = {}
    for target in targets:
        watch = watches.get(target.pk)
        fault = watch.message if watch and watch.is_well is False else None
        if watch is None:
            fault = _fault_of_old(job, target, node=node)
        if fault:
            sick[target.name] = fault
    return sick


def _can_probe(target: Target, node: str) -> bool:
    return serving.is_served_by(target.node, worker_of=node)


def _fault_of_old(job: Job, target: Target, *, node: str) -> str | None:
    if not target.current_version:
        return None
    if target.health_url and _can_probe(target, node) and (fault := gates.probe(target)):
        return fault
    if not target.instance_id:
        return None
    row = Instance.objects.filter(service=job.service_id, instance_id=target.instance_id).first()
    if row is not None and row.state == Instance.State.EXPIRED:
        return f"the heartbeat of instance {target.instance_id} expired"
    if row is not None and row.combined_health == Instance.Health.CRITICAL:
        return f"instance {target.instance_id} says that it is critical"
    return None
