"""Jobs as pages show them while they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from updates.models import Job, Step


@dataclass(frozen=True)
class RunningJob:
    job: Job
    step: Step | None

    @property
    def doing(self) -> str:
        """Return the job's activity: why it is paused, else the current step."""
        if self.job.status == Job.Status.PAUSED:
            return self.job.pause_reason
        return f"{self.step.name} {self.step.target_name}".strip() if self.step else ""


def with_current_steps(jobs: Sequence[Job]) -> list[RunningJob]:
    """Pair each job with the step that it works on, in one query for all."""
    steps = (
        Step.objects.filter(job__in=jobs, status=Step.Status.RUNNING)
        .order_by("job_id", "-position")
        .distinct("job_id")
    )
    current = {step.job_id: step for step in steps} if jobs else {}
    return [RunningJob(job, current.get(job.pk)) for job in jobs]
