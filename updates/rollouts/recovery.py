"""The sweep over jobs: what a lost message, a dead worker or a missing node left lying is picked up."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from saga_project.shared import locks
from updates.models import Job, Step
from updates.models.jobs import JobQuerySet
from updates.rollouts import leases, nodes, transitions

#: How long a node without a living worker may take to begin a step that it is asked for again and again.
NODE_DEADLINE = dt.timedelta(seconds=60)
#: A message may be lost, but most of them only wait in their queue.
RUNG_EVERY = dt.timedelta(seconds=10)
#: A longer silence of our own says nothing about the node: its time starts anew.
OWN_SILENCE = dt.timedelta(seconds=30)


def sweep() -> int:
    """Wake a worker for every due job; returns their number. One sweep runs at a time."""
    leases.free_the_dead()
    with transaction.atomic():
        if not locks.try_acquire(locks.Lock.JOB_RECOVERY):
            return 0
        due = list(_to_wake().order_by("created_at").values_list("pk", flat=True))
    for pk in due:
        _wake(pk)
    for pk in Job.objects.filter(needs_attention=True).values_list("pk", flat=True):
        _continue_rollback(pk)
    return len(due)


@transaction.atomic
def _continue_rollback(pk: int) -> None:
    """Go on with a rollback that lacked the worker of a node, once there is one again."""
    job = (
        Job.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("service", "release")
        .filter(pk=pk, needs_attention=True)
        .first()
    )
    if job is None:
        return
    lost = {entry["node"] for entry in job.attention if entry["is_node_lost"]}
    if any(nodes.has_worker(node) for node in lost):
        transitions.roll_back_again(job, now=timezone.now())


def _to_wake() -> JobQuerySet:
    rung_just_now = Q(status__in=Job.WORKED_ON, rang_at__gt=timezone.now() - RUNG_EVERY)
    return Job.objects.due().exclude(rung_just_now)


@transaction.atomic
def _wake(pk: int) -> None:
    job = (
        _to_wake()
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("service", "release")
        .filter(pk=pk)
        .first()
    )
    if job is None:
        return
    now = timezone.now()
    if job.status == Job.Status.PAUSED:
        transitions.end_pause(job, now=now)
        return
    if job.rang_at is None or now - job.rang_at > OWN_SILENCE or job.waiting_since is None:
        job.waiting_since = now
    job.rang_at = now
    job.save(update_fields=["waiting_since", "rang_at"])
    step = job.steps.exclude(status__in=Step.ENDED).order_by("position").first()
    is_late = now - job.waiting_since > NODE_DEADLINE
    if step and step.node and is_late and not nodes.has_worker(step.node):
        _give_up(job, step, now)
    else:
        transitions.wake(job)


def _give_up(job: Job, step: Step, now: dt.datetime) -> None:
    seconds = int(NODE_DEADLINE.total_seconds())
    job.waiting_since = job.rang_at = None
    job.save(update_fields=["waiting_since", "rang_at"])
    transitions.fail_step(
        job,
        step,
        reason=f"No worker of node {step.node!r} took the step within {seconds} s; is one running there?",
        now=now,
        is_node_lost=True,
    )
