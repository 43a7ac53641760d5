"""What history adds up to: totals by status and service."""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count, QuerySet, Sum

from updates import history
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
    """How many entries one service has of one status, and what those took that say so."""

    service_name: str
    status: str
    entries: int
    timed_entries: int
    seconds: int | None


def statistics(*, since: dt.datetime | None) -> Statistics:
    """Add up the standing history; ``success_rate`` is in percent, both rates are 0.0 without updates."""
    if since is None:
        return _add_up(_tallies(HistoryTally.objects.filter(entries__gt=0)))
    return _of_period(history.period(since=since))


@functools.lru_cache(maxsize=64)
def _of_period(period: history.Period) -> Statistics:
    """Kept while nothing is added and nothing leaves the window: it reads every entry in it."""
    if period.first_at is None:
        return _add_up([])
    grouped = (
        history.select(history.Selection(since=period.first_at))
        .order_by()
        .values("service_name", "status")
        .annotate(
            entries=Count("id"),
            timed_entries=Count("duration_seconds"),
            seconds=Sum("duration_seconds"),
        )
    )
    return _add_up(_tallies(grouped))


def _tallies(rows: QuerySet[Any, Any]) -> list[Tally]:
    return list(map(Tally._make, rows.values_list(*Tally._fields)))


def _add_up(tallies: Sequence[Tally]) -> Statistics:
    by_status: Counter[str] = Counter()
    by_service: Counter[str] = Counter()
    for tally in tallies:
        by_status[tally.status] += tally.entries
        by_service[tally.service_name] += tally.entries
    total = by_status.total()
    successful = by_status[HistoryEntry.Status.SUCCESS]
    timed = sum(tally.timed_entries for tally in tallies)
    seconds = sum(tally.seconds or 0 for tally in tallies)
    return Statistics(
        total_updates=total,
        successful_updates=successful,
        failed_updates=by_status[HistoryEntry.Status.FAILED],
        rolled_back_updates=by_status[HistoryEntry.Status.ROLLED_BACK],
        success_rate=round(100 * successful / total, 2) if total else 0.0,
        average_duration_seconds=round(seconds / timed, 2) if timed else 0.0,
        services_updated=tuple(sorted(by_service.items(), key=lambda item: (-item[1], item[0]))),
    )
