"""Metrics of health checks: calls as they are made, verdicts and checkers at each scrape."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count
from django.db.models.functions import Now
from prometheus_client import Counter, Histogram, Metric

from registry.models import CheckedInstance, Checker, CheckVerdict
from saga_project.shared import metrics

calls_total = Counter("saga_check_calls", "Calls of health checks, by what they found.", ["result"])
lag_seconds = Histogram(
    "saga_check_lag_seconds",
    "How late calls of health checks began.",
    buckets=(0.05, 0.25, 1, 2.5, 5, 10, 30),
)


def read() -> Iterable[Metric]:
    found = CheckedInstance.objects.filter(check_made__is_enabled=True).order_by()
    counts = dict.fromkeys(CheckVerdict.values, 0.0) | dict(
        found.values_list("verdict").annotate(Count("pk"))
    )
    checkers = Checker.objects.filter(expires_at__gte=Now()).count()
    yield metrics.gauge(
        "saga_checked_instances", "Instances by what checks say of them.", counts, label="verdict"
    )
    yield metrics.gauge("saga_checkers", "Processes that make health checks.", {"": checkers})
