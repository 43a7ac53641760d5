"""The journal of a job: one line a step, written before it is done and after."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from saga_project.shared import transitions
from updates.models import Job, Step


def begin(step: Step) -> None:
    transitions.require_move(
        step,
        Step.Status.RUNNING,
        started_at=step.started_at or timezone.now(),
        runs=step.runs + 1,
    )
    Job.objects.filter(pk=step.job_id).update(waiting_since=None)


def end(step: Step, status: Step.Status, message: str) -> None:
    """End a step with the result that it has in memory."""
    transitions.require_move(
        step,
        status,
        message=message,
        finished_at=timezone.now(),
        progress=100 if status == Step.Status.SUCCEEDED else step.progress,
        result=step.result,
    )


def ask_again(step: Step, message: str) -> None:
    """Have a step that could not decide begin anew, with all of its runs."""
    transitions.require_move(step, Step.Status.PENDING, message=message, runs=0)


def skip(steps: QuerySet[Step], **changes: object) -> None:
    """Skip those of the steps that have not ended."""
    transitions.move_rows(steps, Step.Status.SKIPPED, **changes)


def progress(job: Job, *, of_this_step: int = 0) -> int:
    """Return the percent of the plan that is done, the step under way in proportion."""
    steps = job.steps.filter(is_rollback=False)
    done = steps.filter(status__in=Step.ENDED).count() * 100 + of_this_step
    return min(99, done // max(1, steps.count()))
