"""What history adds up to: totals by status and service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Sum

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
    services_updated: list[tuple[str, int]]


def statistics(*, since: dt.datetime | None) -> Statistics:
    """Add up the standing history; ``success_rate`` is in percent, both rates are 0.0 without updates."""
    tallies = list(_tallies(since))
    by_status: dict[str, int] = {}
    by_service: dict[str, int] = {}
    for tally in tallies:
        by_status[tally["status"]] = by_status.get(tally["status"], 0) + tally["entries"]
        by_service[tally["service_name"]] = (
            by_service.get(tally["service_name"], 0) + tally["entries"]
        )
    total = sum(by_status.values())
    successful = by_status.get(HistoryEntry.Status.SUCCESS, 0)
    timed = sum(tally["timed_entries"] for tally in tallies)
    seconds = sum(tally["seconds"] or 0 for tally in tallies)
    return Statistics(
        total_updates=total,
        successful_updates=successful,
        failed_updates=by_status.get(HistoryEntry.Status.FAILED, 0),
        rolled_back_updates=by_status.get(HistoryEntry.Status.ROLLED_BACK, 0),
        success_rate=round(100 * successful / total, 2) if total else 0.0,
        average_duration_seconds=round(seconds / timed, 2) if timed else 0.0,
        services_updated=sorted(by_service.items(), key=lambda item: (-item[1], item[0])),
    )


def _tallies(since: dt.datetime | None) -> Iterable[dict[str, Any]]:
    columns = ("service_name", "status", "entries", "timed_entries", "seconds")
    if since is None:
        tallies: Iterable[dict[str, Any]] = HistoryTally.objects.filter(entries__gt=0).values(
            *columns
        )
        return tallies
    found: Iterable[dict[str, Any]] = (
        history.select(history.Selection(since=since))
        .order_by()
        .values("service_name", "status")
        .annotate(
            entries=Count("id"),
            timed_entries=Count("duration_seconds"),
            seconds=Sum("duration_seconds"),
        )
        .values(*columns)
    )
    return found
