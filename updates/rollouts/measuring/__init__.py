"""Metrics of a policy: sampled from the first switch of a job until its end.

A metric that is out of its bounds ``failure_threshold`` times in a row turns the job around. Before a pause
or the job ends, each needs ``consecutive`` good samples in a row. An inconclusive sample counts neither way;
one that stays inconclusive pauses the job. A dry run is measured and shown, and decides nothing.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db import transaction
from django.utils import timezone

from saga_project.shared import wakeups
from updates.models import Job, Measurement, Step
from updates.rollouts import strategy_options, transitions
from updates.rollouts.measuring import sources
from updates.rollouts.measuring.definitions import InvalidMetrics, Metric, read
from updates.rollouts.strategies import Action
from updates.step_context import Inconclusive

__all__ = ["InvalidMetrics", "Metric", "begin", "make_round", "read", "settle", "wake_due"]

ROUND_SECONDS = 1.0
#: How long a decision waits for a metric beyond its delay and its samples.
PATIENCE_SECONDS = 60.0
MAX_AT_ONCE = 8
MEASURED = (Job.Status.RUNNING, Job.Status.PAUSED)


def begin(job: Job, step: Step) -> None:
    """Measure from the first switch on."""
    if step.name != Action.SWITCH or step.is_rollback or not job.metrics:
        return
    now = timezone.now()
    rows = [Measurement(job=job, name=metric.name, began_at=now) for metric in read(job.metrics)]
    Measurement.objects.bulk_create(rows, ignore_conflicts=True)


def wake_due() -> None:
    """Ask a worker for a round of each job that is measured; called every second."""
    measured = Measurement.objects.filter(job__status__in=MEASURED)
    for job_pk in measured.values_list("job_id", flat=True).distinct().order_by("job_id"):
        wakeups.wake("updates.measure", job_pk, queue="updates")


def make_round(job_pk: int) -> None:
    """Sample the metrics that are due, and turn the job around where one was bad too often."""
    job = Job.objects.select_related("service").filter(pk=job_pk, status__in=MEASURED).first()
    if job is None:
        return
    metrics = {metric.name: metric for metric in read(job.metrics)}
    due = _claim(job, metrics)
    if not due:
        return

    def look(measurement: Measurement) -> tuple[bool | None, str]:
        return _evaluate(metrics[measurement.name], job)

    with ThreadPoolExecutor(max_workers=min(MAX_AT_ONCE, len(due))) as pool:
        found = list(pool.map(look, due))
    _record(job_pk, metrics, list(zip(due, found, strict=True)))


@transaction.atomic
def _claim(job: Job, metrics: dict[str, Metric]) -> list[Measurement]:
    """Return the measurements that are due, marked as checked now, so that no other round has them, too."""
    now = timezone.now()
    rows = Measurement.objects.select_for_update(skip_locked=True).filter(job=job).order_by("pk")
    due = [row for row in rows if row.name in metrics and _is_due(row, metrics[row.name], now)]
    Measurement.objects.filter(pk__in=[row.pk for row in due]).update(checked_at=now)
    return due


def _is_due(row: Measurement, metric: Metric, now: dt.datetime) -> bool:
    if now < row.began_at + dt.timedelta(seconds=metric.initial_delay):
        return False
    return row.checked_at is None or now >= row.checked_at + dt.timedelta(seconds=metric.interval)


def _evaluate(metric: Metric, job: Job) -> tuple[bool | None, str]:
    """Sample the metric; touches no database. None is inconclusive."""
    try:
        value = sources.sample(metric, service_name=job.service.name, version=job.version)
    except Inconclusive as exc:
        return None, str(exc)
    if metric.maximum is not None and value > metric.maximum:
        return False, f"{value:g} is more than {metric.maximum:g}."
    if metric.minimum is not None and value < metric.minimum:
        return False, f"{value:g} is less than {metric.minimum:g}."
    return True, f"{value:g} is within its bounds."


def _record(
    job_pk: int,
    metrics: dict[str, Metric],
    found: Sequence[tuple[Measurement, tuple[bool | None, str]]],
) -> None:
    with transaction.atomic():
        job = (
            Job.objects.select_for_update(of=("self",))
            .select_related("service", "release")
            .filter(pk=job_pk, status__in=MEASURED)
            .first()
        )
        if job is None:
            return
        for row, (is_good, message) in found:
            _note(row, is_good, message)
        threshold = strategy_options.read(job.strategy_options).failure_threshold
        bad = next(
            (
                row
                for row, _ in found
                if row.bad_in_a_row >= threshold and not metrics[row.name].is_dry_run
            ),
            None,
        )
        if bad is not None and not job.is_promoted_fully:
            times = f"{bad.bad_in_a_row} times in a row" if bad.bad_in_a_row > 1 else "once"
            reason = f"The metric {bad.name} was bad {times}: {bad.message}"
            transitions.stop(job, reason=reason, now=timezone.now())


def _note(row: Measurement, is_good: bool | None, message: str) -> None:
    row.is_good, row.message = is_good, message
    if is_good is not None:
        row.good_in_a_row = row.good_in_a_row + 1 if is_good else 0
        row.bad_in_a_row = 0 if is_good else row.bad_in_a_row + 1
    row.save(update_fields=["is_good", "message", "good_in_a_row", "bad_in_a_row"])


def settle(job: Job, *, wait: Callable[[float], None]) -> str:
    """Wait until each metric has as many good samples in a row as it needs; raises Inconclusive.

    A metric that is bad too often ends the step meanwhile, because the job turns around.
    """
    metrics = {metric.name: metric for metric in read(job.metrics) if not metric.is_dry_run}
    longest = max(
        (each.initial_delay + each.consecutive * each.interval for each in metrics.values()),
        default=0,
    )
    ends_at = time.monotonic() + longest + PATIENCE_SECONDS
    while metrics:
        make_round(job.pk)
        rows = Measurement.objects.filter(job=job, name__in=metrics).order_by("pk")
        lacking = [row for row in rows if row.good_in_a_row < metrics[row.name].consecutive]
        if not lacking:
            return " ".join(f"{row.name}: {row.message}" for row in rows)
        if time.monotonic() > ends_at and lacking[0].is_good is not False:
            reason = lacking[0].message or "it was not sampled"
            raise Inconclusive(f"The metric {lacking[0].name} is inconclusive: {reason}")
        wait(ROUND_SECONDS)
    return ""
