"""A deployment's page: its waves, every target with its steps, and the verbs that its state allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from saga_project.console import confirm, fragments, job_verbs, roles
from updates.models import Approval, Job, Step
from updates.rollouts.strategies import Action

#: Numbers of the waves before the first and after the last.
STAGING = 0
AFTERWARDS = 10_000
STAGE = "Stage"


@dataclass
class TargetSteps:
    """One target's steps in one wave."""

    target: str
    node: str
    steps: list[Step] = field(default_factory=list)

    @property
    def status(self) -> str:
        return status_of(self.steps)


@dataclass
class Wave:
    """A phase of a deployment: parallel lanes between steps that concern all targets."""

    title: str
    lanes: dict[str, TargetSteps] = field(default_factory=dict)
    before: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)

    @property
    def status(self) -> str:
        return status_of(
            [
                *self.before,
                *(step for lane in self.lanes.values() for step in lane.steps),
                *self.after,
            ]
        )

    @property
    def is_folded(self) -> bool:
        """Staging that went well is nothing to look at any more."""
        return self.title == STAGE and self.status == Step.Status.SUCCEEDED

    def add(self, step: Step) -> None:
        if not step.target_name:
            (self.after if self.lanes else self.before).append(step)
            return
        lane = self.lanes.setdefault(step.target_name, TargetSteps(step.target_name, step.node))
        lane.steps.append(step)


def status_of(steps: Sequence[Step]) -> str:
    """Return one word for many steps: the worst, else the busiest."""
    found = {step.status for step in steps}
    for status in (Step.Status.FAILED, Step.Status.RUNNING):
        if status in found:
            return status
    if found <= set(Step.ENDED):
        return Step.Status.SUCCEEDED if Step.Status.SUCCEEDED in found else Step.Status.SKIPPED
    return Step.Status.RUNNING if found & set(Step.ENDED) else Step.Status.PENDING


def waves_of(job: Job, steps: Iterable[Step]) -> list[Wave]:
    """Arrange the journal as it is meant: staging, the waves, the end, and the rollback if there is one."""
    found: dict[tuple[bool, int], Wave] = {}
    number = STAGING
    for step in steps:
        number = _wave_of(job, step, number)
        key = (step.is_rollback, number)
        wave = found.get(key) or found.setdefault(key, Wave(_title(*key)))
        wave.add(step)
    return list(found.values())


def _wave_of(job: Job, step: Step, current: int) -> int:
    """Return the wave of a step; what belongs to none is part of the one under way."""
    if step.is_rollback:
        return AFTERWARDS
    move = job.moves[step.move] if step.move < len(job.moves) else None
    if move is None:
        return AFTERWARDS
    return STAGING if move["action"] == Action.STAGE else int(move["wave"] or current)


def _title(is_rollback: bool, wave: int) -> str:
    if is_rollback:
        return "Rollback"
    if wave == STAGING:
        return STAGE
    return "Afterwards" if wave == AFTERWARDS else f"Wave {wave}"


def page(request: HttpRequest, job_id: str) -> HttpResponse:
    roles.demand(request, "updates.view_job")
    job = _find(job_id)
    return fragments.answer(
        request,
        page="console/deployment.html",
        live="console/deployment_live.html",
        context=_context(request, job),
        site={
            **admin.site.each_context(request),
            "title": f"{job.service.name} {job.version}",
            "sg_list": "updates.job",
        },
    )


def _find(job_id: str) -> Job:
    job = Job.objects.select_related("service", "release").filter(job_id=job_id).first()
    if job is None:
        raise Http404(f"There is no deployment {job_id}.")
    return job


def _context(request: HttpRequest, job: Job) -> dict[str, Any]:
    verbs = job_verbs.of(job, user=roles.person(request))
    return {
        "job": job,
        "waves": waves_of(job, job.steps.order_by("position")),
        "verbs": confirm.allowed(request, verbs),
        "approval": Approval.objects.filter(job_id=job.job_id).order_by("-pk").first(),
        "is_live": job.status in Job.LIVE,
    }


def by_number(request: HttpRequest, number: str) -> HttpResponse:
    roles.demand(request, "updates.view_job")
    if not number.isdecimal():
        raise Http404
    job = get_object_or_404(Job, pk=int(number))
    return redirect("admin:console_job", job.job_id)


def act(request: HttpRequest, job_id: str, verb: str) -> HttpResponse:
    roles.demand(request, "updates.view_job")
    job = _find(job_id)
    return confirm.ask(
        request,
        job_verbs.of(job, user=roles.person(request)),
        verb,
        subject=job.job_id,
        back=reverse("admin:console_job", args=[job_id]),
        site=admin.site.each_context(request),
    )
