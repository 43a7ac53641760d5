"""Why a deployment of a service could only be refused now."""

from __future__ import annotations

from collections.abc import Sequence

from registry.models import Service
from updates.models import Job, Release, Target


def of_job(blocking: Job | None) -> str:
    """Return why no deployment can begin; empty where one can."""
    if blocking is None:
        return ""
    if blocking.needs_attention:
        return f"{blocking.job_id} could not be rolled back: acknowledge it first."
    return f"{blocking.job_id} is {blocking.get_status_display().lower()}: wait for its end, or abort it."


def of_targets(service: Service, releases: Sequence[Release]) -> tuple[str, str]:
    """Return why no deployment of these releases, and no rollback, can begin; empty where one can."""
    targets = list(Target.objects.filter(service=service, is_automatic=False, parent=None))
    enabled = [target for target in targets if target.is_enabled]
    if targets and not enabled:
        reason = f"All targets of {service.name} are disabled: enable one first."
        return reason, reason
    found = [_of_release(release, enabled) for release in releases]
    return (found[0] if found and all(found) else ""), ""


def _of_release(release: Release, targets: Sequence[Target]) -> str:
    for target in targets:
        if obstacle := target.obstacle(release.artifact_type):
            return f"Release {release.version} {obstacle}"
    return ""
