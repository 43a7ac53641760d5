"""The journal of a job: one line a step, written before it is done and after."""

from __future__ import annotations

from django.utils import timezone

from updates.models import Job, Step


def begin(step: Step) -> None:
    step.status = Step.Status.RUNNING
    step.started_at = step.started_at or timezone.now()
    step.runs += 1
    step.save(update_fields=["status", "started_at", "runs"])
    Job.objects.filter(pk=step.job_id).update(waiting_since=None)


def end(step: Step, status: Step.Status, message: str) -> None:
    step.status, step.message, step.finished_at = status, message, timezone.now()
    step.progress = 100 if status == Step.Status.SUCCEEDED else step.progress
    step.save(update_fields=["status", "message", "finished_at", "progress", "result"])


def progress(job: Job, *, of_this_step: int = 0) -> int:
    """Return the percent of the plan that is done, the step under way in proportion."""
    steps = job.steps.filter(is_way_back=False)
    done = steps.filter(status__in=Step.ENDED).count() * 100 + of_this_step
    return min(99, done // max(1, steps.count()))
