"""Statistics of the history: totals by status and service."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Aggregate, Count, Q, QuerySet, Sum

from updates.history import records
from updates.models import HistoryEntry, HistoryTally


@dataclass(frozen=True)
class Statistics:
    total_updates: int
    successful_updates: int
    failed_updates: int
    rolled_back_updates: int
    success_rate: float
    average_duration_seconds: float
    services_updated: tuple[tuple[str, int], ...]


class Tally(NamedTuple):
    """How many entries one service has, how many of each status, and what those took that say so."""

    service_name: str
    updates: int
    successful: int
    failed: int
    rolled_back: int
    timed: int
    total_seconds: int


def statistics(*, since: dt.datetime | None) -> Statistics:
    """Add up the standing history; ``success_rate`` is in percent, both rates are 0.0 without updates."""
    if since is not None:
        return _of_period(records.period(since=since))
    tallies = HistoryTally.objects.filter(entries__gt=0)
    count = functools.partial(Sum, "entries")
    return _add_up(_tallies(tallies, count, timed=Sum("timed_entries"), seconds=Sum("seconds")))


@functools.lru_cache(maxsize=64)
def _of_period(period: records.Period) -> Statistics:
    """Kept while nothing is added and nothing leaves the window: it reads every entry in it.

    Or rather what the index ``history_newest`` holds of it.
    """
    if period.first_at is None:
        return _add_up([])
    entries = records.select(records.HistorySelection(since=period.first_at))
    count = functools.partial(Count, "id")
    timed, seconds = Count("duration_seconds"), Sum("duration_seconds")
    return _add_up(_tallies(entries, count, timed=timed, seconds=seconds))


def _tallies(
    rows: QuerySet[Any, Any],
    count: Callable[..., Aggregate],
    *,
    timed: Aggregate,
    seconds: Aggregate,
) -> list[Tally]:
    """Group the rows by service in PostgreSQL; each row stands for ``count`` entries."""
    status = HistoryEntry.Status
    sums = {
        "updates": count(),
        "successful": count(filter=Q(status=status.SUCCESS)),
        "failed": count(filter=Q(status=status.FAILED)),
        "rolled_back": count(filter=Q(status=status.ROLLED_BACK)),
        "timed": timed,
        "total_seconds": seconds,
    }
    grouped = rows.order_by().values("service_name").annotate(**sums)
    return [
        Tally(name, *(number or 0 for number in numbers))
        for name, *numbers in grouped.values_list("service_name", *sums)
    ]


def _add_up(tallies: Sequence[Tally]) -> Statistics:
    total = sum(tally.updates for tally in tallies)
    successful = sum(tally.successful for tally in tallies)
    timed = sum(tally.timed for tally in tallies)
    seconds = sum(tally.total_seconds for tally in tallies)
    by_service = [(tally.service_name, tally.updates) for tally in tallies]
    return Statistics(
        total_updates=total,
        successful_updates=successful,
        failed_updates=sum(tally.failed for tally in tallies),
        rolled_back_updates=sum(tally.rolled_back for tally in tallies),
        success_rate=round(100 * successful / total, 2) if total else 0.0,
        average_duration_seconds=round(seconds / timed, 2) if timed else 0.0,
        services_updated=tuple(sorted(by_service, key=lambda item: (-item[1], item[0]))),
    )
