"""Metrics of jobs: live ones are counted at each scrape, ended ones when they end."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count
from prometheus_client import Counter, Metric

from saga_project.shared import metrics
from updates.models import Job

ended_total = Counter("saga_jobs_ended", "Jobs that ended, by how.", ["kind", "status"])


def note_end(kind: str, status: str) -> None:
    ended_total.labels(kind, status).inc()


def read() -> Iterable[Metric]:
    live = Job.objects.live().order_by().values_list("status").annotate(Count("pk"))
    counts = {status.value: 0.0 for status in Job.LIVE} | dict(live)
    yield metrics.gauge("saga_jobs", "Jobs that are not over, by status.", counts, label="status")
    stuck = Job.objects.filter(needs_attention=True).count()
    yield metrics.gauge(
        "saga_jobs_needing_attention", "Jobs that lock their service until staff look.", {"": stuck}
    )


metrics.at_scrape(read)
