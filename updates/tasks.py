"""The queues ``updates`` and ``node.<name>``: doorbells for the work modules."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from updates import reaper, rollout


@shared_task(name="updates.run_job")
def run_job(job_pk: int) -> None:
    rollout.run(job_pk, node=settings.SAGA_NODE_NAME)


@shared_task(name="updates.sweep_jobs")
def sweep_jobs() -> None:
    reaper.sweep()
