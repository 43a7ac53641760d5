"""The sweep over jobs: what a lost message, a dead worker or a missing node left lying is picked up."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction
from django.utils import timezone

from updates import endings, leases
from updates.models import Job, Step

#: How long a node may take to begin a step that it is asked for again and again.
NODE_DEADLINE = dt.timedelta(seconds=60)
#: A longer silence of our own says nothing about the node: its time starts anew.
OWN_SILENCE = dt.timedelta(seconds=15)
_LOCK = 5_001


def sweep() -> int:
    """Wake somebody for every job that is due; returns how many there were. One sweep runs at a time."""
    leases.free_the_dead()
    with transaction.atomic():
        if not _is_alone():
            return 0
        due = list(Job.objects.due().order_by("created_at").values_list("pk", flat=True))
    for pk in due:
        _wake(pk)
    return len(due)


def _is_alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


@transaction.atomic
def _wake(pk: int) -> None:
    job = (
        Job.objects.due()
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("service", "release")
        .filter(pk=pk)
        .first()
    )
    if job is None:
        return
    now = timezone.now()
    if job.status == Job.Status.PAUSED:
        endings.resume(job, now=now)
        return
    if job.rang_at is None or now - job.rang_at > OWN_SILENCE or job.waiting_since is None:
        job.waiting_since = now
    job.rang_at = now
    job.save(update_fields=["waiting_since", "rang_at"])
    if now - job.waiting_since > NODE_DEADLINE:
        _give_up(job, now)
    else:
        endings.ring(job)


def _give_up(job: Job, now: dt.datetime) -> None:
    step = job.steps.exclude(status__in=Step.ENDED).order_by("position").first()
    node = step.node if step else ""
    seconds = int(NODE_DEADLINE.total_seconds())
    reason = f"No worker of node {node!r} took the step within {seconds} s; is one running there?"
    if step is None or not node:
        endings.ring(job)
        return
    step.status, step.message = Step.Status.FAILED, reason
    step.started_at, step.finished_at = step.started_at, now
    step.save(update_fields=["status", "message", "finished_at"])
    job.waiting_since = job.rang_at = None
    job.save(update_fields=["waiting_since", "rang_at"])
    if step.is_way_back:
        endings.fail_way_back(job, reason=reason, now=now)
    else:
        endings.stop(job, reason=reason, now=now)
