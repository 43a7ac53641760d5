"""The four figures of DevOps Research and Assessment, out of the history."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

from django.db import connection

from updates import history

SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class Figures:
    """Over one window; the last three are None where there is nothing to take them from.

    ``deployments`` are updates that somebody deployed or that a service reported, rollbacks by hand left
    out. A deployment failed if it says so, was rolled back by itself, or the next thing that happened to its
    service was a rollback by hand. The rate is in percent, times are medians.
    """

    deployments: int
    deployment_frequency_per_day: float
    lead_time_seconds: int | None
    change_failure_rate: float | None
    time_to_restore_seconds: int | None


# "restored_at" is the next moment at which something is known to run again. Newest first, so that the
# frame only grows; the other way round its minimum would be taken anew for every row.
_FIGURES = """
WITH told AS (
    SELECT id, kind, status, timestamp, started_at, released_at,
           lag(kind) OVER newest_first AS next_kind,
           min(timestamp) FILTER (WHERE status IN ('success', 'rolled_back')) OVER (
               newest_first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS restored_at
    FROM updates_historyentry
    WHERE timestamp >= %(since)s
      AND id NOT IN (SELECT corrects_id FROM updates_historyentry WHERE corrects_id IS NOT NULL)
    WINDOW newest_first AS (PARTITION BY service_name ORDER BY timestamp DESC, id DESC)
), judged AS (
    SELECT *, status <> 'success' OR next_kind IS NOT DISTINCT FROM 'rollback' AS is_failed
    FROM told WHERE kind <> 'rollback'
)
SELECT count(*),
       count(*) FILTER (WHERE status = 'success'),
       count(*) FILTER (WHERE is_failed),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM timestamp - released_at))
           FILTER (WHERE status = 'success' AND released_at <= timestamp),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY
           CASE WHEN status = 'rolled_back' THEN extract(epoch FROM timestamp - started_at)
                ELSE extract(epoch FROM restored_at - timestamp) END
       ) FILTER (WHERE is_failed)
FROM judged
"""


def figures(*, window: dt.timedelta, now: dt.datetime) -> Figures:
    return _add_up(window, history.period(since=now - window))


@functools.lru_cache(maxsize=64)
def _add_up(window: dt.timedelta, period: history.Period) -> Figures:
    """Kept while nothing is added and nothing leaves the window: it reads every entry in it."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"since": period.first_at})
        deployments, successful, failed, lead_time, restore = cursor.fetchone()
    days = window.total_seconds() / SECONDS_A_DAY
    return Figures(
        deployments=deployments,
        deployment_frequency_per_day=round(successful / days, 4),
        lead_time_seconds=None if lead_time is None else round(lead_time),
        change_failure_rate=round(100 * failed / deployments, 2) if deployments else None,
        time_to_restore_seconds=None if restore is None else round(restore),
    )
