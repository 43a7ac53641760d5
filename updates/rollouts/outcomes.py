"""What a job did: the versions of its targets before and after, and its entry in the history."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from registry.models import Service
from updates.artifacts import store
from updates.history import records
from updates.models import HistoryEntry, Job, Release, Step
from updates.rollouts import planning
from updates.rollouts.strategies import Action

Status = Job.Status


def record(job: Job, *, now: dt.datetime) -> None:
    """Write the history entry of a job that has ended."""
    previous, succeeded = job.previous_version or None, job.status == Status.SUCCEEDED
    backup = job.steps.filter(name=planning.BACK_UP, result__has_key="backup_path").order_by(
        "position"
    )
    first_backup = backup.first()
    is_fetched = job.artifact_sha256 and job.artifact_type != Release.ArtifactType.IMAGE
    running = job.version if succeeded else (None if _is_mixed(job) else previous)
    records.record(
        records.UpdateOutcome(
            service_name=job.service.name,
            kind=job.kind,
            status=_history_status(job),
            old_version=previous or _reported_before(job),
            new_version=job.version,
            running_version=running,
            timestamp=now,
            started_at=job.started_at,
            released_at=job.release.published_at if job.release else None,
            duration_seconds=duration_seconds(job, now=now),
            paused_seconds=job.paused_seconds,
            artifact_url=job.artifact_url or None,
            checksum=job.checksum or None,
            artifact_path=_artifact_path(job) if is_fetched else None,
            backup_path=first_backup.result["backup_path"] if first_backup else None,
            job_id=job.job_id,
            detail=job.error,
            recorded_by=job.requested_by,
            has_reached_target=succeeded or has_switched(job),
        )
    )


def _is_mixed(job: Job) -> bool:
    """Whether the targets may run different versions after a rollback that did not end."""
    return job.needs_attention or bool(job.acknowledged_by)


def _reported_before(job: Job) -> str | None:
    """Return what the service said it ran, where we never deployed it; by now it may say the new version."""
    service = Service.objects.only("version", "previous_version").get(pk=job.service_id)
    is_new = service.version == job.version
    return (service.previous_version if is_new else service.version) or None


def _artifact_path(job: Job) -> str:
    return str(store.named_path(job.service.name, job.version))


def _history_status(job: Job) -> HistoryEntry.Status:
    if job.status == Status.SUCCEEDED:
        is_rollback = job.kind == Job.Kind.ROLLBACK
        return HistoryEntry.Status.ROLLED_BACK if is_rollback else HistoryEntry.Status.SUCCESS
    if job.status == Status.ROLLED_BACK and job.kind == Job.Kind.DEPLOY:
        return HistoryEntry.Status.ROLLED_BACK
    return HistoryEntry.Status.FAILED


def has_switched(job: Job) -> bool:
    """Return whether a switch of any target has begun."""
    return job.steps.filter(
        name=Action.SWITCH, started_at__isnull=False, is_rollback=False
    ).exists()


def has_restored(job: Job) -> bool:
    """True where at least one target runs a previous version again, or lookups are back at its slot."""
    swapped = job.steps.filter(
        name=Action.SWAP, is_rollback=True, status=Step.Status.SUCCEEDED
    ).exists()
    if swapped:
        return bool(job.previous_version)
    restored = job.steps.filter(name=Action.RESTORE, status=Step.Status.SUCCEEDED)
    previous = previous_of_targets(job)
    return any(previous.get(name) for name in restored.values_list("target_name", flat=True))


def previous_of_targets(job: Job) -> dict[str, str | None]:
    """Return, by target, the version that ran before; as recorded before anything was switched."""
    steps = job.steps.filter(name=planning.BACK_UP, status__in=Step.ENDED)
    return {step.target_name: step.result.get("previous") for step in steps}


def duration_seconds(job: Job, *, now: dt.datetime | None = None) -> int | None:
    """Return how long the job worked, the time that it was paused left out; None before it began."""
    if job.started_at is None:
        return None
    until = job.finished_at or now or timezone.now()
    return max(0, int((until - job.started_at).total_seconds()) - job.paused_seconds)
