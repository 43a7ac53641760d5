"""How many artifacts are fetched at once: slow servers of one account must not occupy every worker."""

from __future__ import annotations

from django.db.models.functions import Now

from saga_project.shared import locks
from updates.models import Job, Step
from updates.rollouts import planning

MAX_PER_ACCOUNT = 4
WAITS = "Waits: {} downloads for services of the same account are under way."


def has_to_wait(job: Job, step: Step) -> bool:
    """Return whether this fetch must wait; services without an account count as one account's.

    The lock makes counting and beginning one step; it ends with the caller's transaction.
    """
    if step.name != planning.FETCH:
        return False
    locks.acquire(locks.Lock.DOWNLOADS)
    running = Step.objects.filter(
        name=planning.FETCH,
        status=Step.Status.RUNNING,
        job__status__in=Job.LIVE,
        job__lease_expires_at__gt=Now(),
        job__service__account=job.service.account_id,
    )
    if running.exclude(job=job).count() < MAX_PER_ACCOUNT:
        return False
    step.message = WAITS.format(MAX_PER_ACCOUNT)
    step.save(update_fields=["message"])
    return True
