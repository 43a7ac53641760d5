"""Deploy and roll back: a request becomes a job with all of its steps, or finds the job in its way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from registry import events, names
from registry.models import Service
from saga_project.shared import strict_json
from updates import errors, event_constructors
from updates.history import audit, records
from updates.models import Job, Release, Step, Target
from updates.operations import rollback_targets, selections
from updates.policies import change_freeze, comparison
from updates.releases import recording
from updates.rollouts import (
    planning,
    slots,
    strategies,
    strategy_options,
    target_instances,
    transitions,
)


def deploy(
    service: Service,
    announcement: recording.Announcement,
    *,
    by: str,
    strategy: str = strategies.ROLLING,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS,
) -> Job:
    """Queue the deployment of a release, or return the live job of the very same request.

    Without ``artifact_url`` the release must be on record, without ``options`` those of the service's
    policy hold, where it has the same strategy. Raises InvalidStrategy, InvalidRequest,
    JobInProgress, ReleaseDiffers, and what the gates raise that ``exemptions`` does not open.
    """
    recording.evaluate(announcement)
    policy = comparison.policy_of(service)
    if options is None:
        options = policy.strategy_options if policy.strategy == strategy else {}
    _check_strategy(strategy, options)
    with transaction.atomic():  # not durable: a webhook keeps its call in the same transaction
        release = _release_of(service, announcement, by=by)
        job = Job(
            kind=Job.Kind.DEPLOY,
            service=service,
            release=release,
            version=release.version,
            previous_version=records.deployed_version(service.name) or "",
            strategy=strategy,
            strategy_options=dict(options),
            artifact_url=announcement.artifact_url or release.artifact_url,
            artifact_type=release.artifact_type,
            checksum=announcement.checksum or release.checksum,
            requested_by=by,
            selection=details.selection(),
            reason=details.reason,
            metrics=policy.metrics,
        )
        return queue(job, exemptions)


def _check_strategy(strategy: str, options: Mapping[str, Any]) -> None:
    if strategy not in strategies.NAMES:
        known = ", ".join(strategies.NAMES)
        raise errors.InvalidStrategy(f"'strategy' is one of {known}.", field="strategy")
    try:
        if strategy_options.read(options).waves and strategy != strategies.ROLLING:
            raise strategy_options.InvalidOptions(
                f"'waves' is an option of the strategy 'rolling', not of '{strategy}'."
            )
    except strategy_options.InvalidOptions as exc:
        raise errors.InvalidStrategy(str(exc), field="strategy_options") from exc


def _release_of(service: Service, announcement: recording.Announcement, *, by: str) -> Release:
    known = Release.objects.filter(service=service, version=announcement.version).first()
    if not announcement.artifact_url and (known is None or not known.artifact_url):
        raise errors.InvalidArtifact(
            f"'artifact_url' is required: no release {announcement.version} is on record.",
            field="artifact_url",
        )
    if known is not None and not announcement.artifact_url:
        return known
    return recording.record(service, announcement, origin="deployed", by=by)[0]


#: All targets at once, without drains, metrics and the watch at the end.
FAST = {"max_unavailable": "100%", "bake_seconds": 0, "drain": False, "waves": None}


def roll_back(
    service: Service,
    version: str | None = None,
    *,
    by: str,
    options: Mapping[str, Any] | None = None,
    details: selections.Details = selections.NO_DETAILS,
    exemptions: change_freeze.GateExemptions = change_freeze.NO_EXEMPTIONS,
) -> Job:
    """Queue the rollback to a version that ran before: the one given, or the last good one.

    Raises ReleaseNotFound where there is none, JobInProgress, and what the gates raise.
    """
    if version is not None:
        names.check_version(version)
    options = {**(options or {}), **(FAST if details.is_fast else {})}
    _check_strategy(strategies.ROLLING, options)
    with transaction.atomic():
        current = records.deployed_version(service.name)
        wanted = rollback_targets.choose(service, version, current=current)
        release = Release.objects.filter(service=service, version=wanted).first()
        job = Job(
            kind=Job.Kind.ROLLBACK,
            service=service,
            release=release,
            version=wanted,
            previous_version=current or "",
            strategy=strategies.ROLLING,
            artifact_url=release.artifact_url if release else "",
            artifact_type=release.artifact_type if release else Release.ArtifactType.BINARY,
            checksum=release.checksum if release else "",
            requested_by=by,
            strategy_options=options,
            selection=details.selection(),
            reason=details.reason,
            is_promoted_fully=details.is_fast,
        )
        return queue(job, exemptions)


def queue(job: Job, exemptions: change_freeze.GateExemptions) -> Job:
    """Insert the job with its plan, or find the one that is in its way; inside the caller's transaction."""
    job.request_digest = _digest(job)
    job.created_at = timezone.now()
    job.job_id = _free_id(job)
    if blocking := _blocking(job):
        return blocking
    change_freeze.require(job, exemptions, now=job.created_at)
    targets = _targets(job)
    _check_installers(job, targets)
    steps = planning.lay_out(job, targets)
    try:
        with transaction.atomic():
            job.save()
    except IntegrityError:
        # Another job was committed since the check.
        if blocking := _blocking(job):
            return blocking
        raise
    Step.objects.bulk_create(steps)
    events.publish(event_constructors.deployment_moved("queued", job))
    audit.record(
        f"job.{job.kind}",
        actor=job.requested_by,
        service_name=job.service.name,
        data={
            "job_id": job.job_id,
            "version": job.version,
            "strategy": job.strategy,
            "reason": job.reason,
        },
        at=job.created_at,
    )
    transitions.wake(job)
    return job


def _blocking(job: Job) -> Job | None:
    """Return the live job of the same request; raises JobInProgress for any other."""
    blocking = Job.objects.locking().filter(service=job.service).order_by("-id").first()
    if blocking is None:
        return None
    if blocking.request_digest == job.request_digest and blocking.status in Job.LIVE:
        return blocking
    if blocking.needs_attention:
        raise errors.JobInProgress(
            f"{blocking.job_id} failed and could not be rolled back; staff must acknowledge it first."
        )
    raise errors.JobInProgress(
        f"{blocking.job_id} is {blocking.get_status_display()}; wait for it, or abort it."
    )


def _digest(job: Job) -> str:
    request = [
        job.kind,
        job.version,
        job.artifact_url,
        job.artifact_type,
        job.checksum,
        job.strategy,
        job.strategy_options,
        job.selection,
    ]
    return hashlib.sha256(strict_json.dumps(request, has_sorted_keys=True)).hexdigest()


def _free_id(job: Job) -> str:
    """Return the documented id; where a job of this second has it already, that of the next free one."""
    second = int(job.created_at.timestamp())
    prefix = f"{job.kind}-{job.service.name}-{job.version}"
    taken = set(
        Job.objects.filter(job_id__startswith=f"{prefix}-").values_list("job_id", flat=True)
    )
    while f"{prefix}-{second}" in taken:
        second += 1
    return f"{prefix}-{second}"


def _check_installers(job: Job, targets: list[Target]) -> None:
    """Refuse at once what a target could only fail at."""
    for target in targets:
        if obstacle := target.obstacle(job.artifact_type):
            raise errors.TargetCannotInstall(f"Release {job.version} {obstacle}")


def _targets(job: Job) -> list[Target]:
    """Return the targets that the job works on, in their order."""
    targets = _enabled(job.service)
    if job.selection:
        targets = selections.narrow(targets, job.selection, service_name=job.service.name)
    return slots.choose(job.strategy, targets, service_name=job.service.name)


def _enabled(service: Service) -> list[Target]:
    """Return the enabled targets in their order; a service without any gets one of its own."""
    own = service.targets.filter(is_automatic=False, parent=None)
    targets = list(own.select_related("service").order_by("position", "name"))
    enabled = target_instances.expand([target for target in targets if target.is_enabled])
    if targets and not enabled:
        raise errors.NoTarget(f"All targets of '{service.name}' are disabled.")
    if enabled:
        return enabled
    automatic, _ = Target.objects.get_or_create(
        service=service, is_automatic=True, defaults={"name": "local"}
    )
    return [automatic]
