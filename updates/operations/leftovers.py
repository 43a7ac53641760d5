"""What may still run when a target or its service goes, and stopping it first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver

from registry import events
from registry.identity.accounts import Caller
from registry.operations import configured
from saga_project.shared import wakeups
from updates import errors
from updates.history import audit
from updates.models import Job, Target
from updates.rollouts.agents import serving

MAX_TOLD = 20


def warnings_of(targets: Iterable[Target]) -> list[str]:
    """Return a sentence for each target on which a version may still run."""
    return [
        f"{target.current_version} may still run on {target.name} (node {target.node}): Saga stopped"
        f" nothing there. Stop it by hand, or first with POST /api/v1/targets/{target.pk}/stop."
        for target in targets
        if target.current_version
    ]


def of_target(target: Target) -> list[Target]:
    """Return the target, or what its instances became."""
    return list(target.children.order_by("name")) or [target]


@receiver(events.service_leaving, dispatch_uid="updates.warn_of_what_runs")
def warn_of_what_runs(*, service_name: str, **_: Any) -> list[str]:
    own = Target.objects.filter(service__name=service_name).exclude(current_version="")
    return warnings_of(own.order_by("position", "name")[:MAX_TOLD])


def stop_target(target: Target, *, by: Caller | None, now: dt.datetime) -> None:
    """Have the workers of its nodes stop what runs there; the event ``target.stopped`` says how it went.

    Raises ServiceOwned, and JobInProgress while a job of the service is live.
    """
    with transaction.atomic(durable=True):
        configured.check_may_change(target, by=by)
        job = Job.objects.locking().filter(service=target.service).order_by("-pk").first()
        if job is not None:
            raise errors.JobInProgress(
                f"{job.job_id} is {job.get_status_display()}: wait for it, or abort it."
            )
        audit.record(
            "target.stop_requested",
            actor=configured.actor_of(by),
            service_name=target.service.name,
            data={"what": str(target), "id": target.pk},
            at=now,
        )
        parts = Target.objects.filter(Q(pk=target.pk, children=None) | Q(parent=target.pk))
        for part in parts:
            wakeups.wake("updates.stop_target", part.pk, queue=serving.queue_for(part.node))
