"""The four DORA metrics (DevOps Research and Assessment), computed from the history."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

from django.db import connection

from updates.history import records

SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class DoraMetrics:
    """Over one window; the last three are None where there is nothing to take them from.

    ``deployments`` are changes that reached a target, or that a service reported; rollbacks by hand are left
    out, and so are those after which the same version runs as before. A deployment failed if it says so, was
    rolled back by itself, or the next thing that happened to its service was a rollback by hand. The rate is
    in percent, times are medians.
    """

    deployments: int
    deployment_frequency_per_day: float
    lead_time_seconds: int | None
    change_failure_rate: float | None
    time_to_restore_seconds: int | None


# Few fail, so that what came before and after is looked up for each of them; a window function over all
# that happened takes twice as long. The entries of a service come in the order of (timestamp, id).
_FIGURES = """
WITH corrected AS (
    SELECT corrects_id AS id FROM updates_historyentry WHERE corrects_id IS NOT NULL
), failed AS (
    SELECT id, service_name, status, timestamp, started_at
    FROM updates_historyentry
    WHERE kind <> 'rollback' AND has_reached_target AND status IN ('failed', 'rolled_back')
      AND timestamp >= %(since)s AND id NOT IN (SELECT id FROM corrected)
    UNION
    SELECT undone.id, undone.service_name, undone.status, undone.timestamp, undone.started_at
    FROM updates_historyentry AS rollback, LATERAL (
        SELECT * FROM updates_historyentry
        WHERE service_name = rollback.service_name AND (timestamp, id) < (rollback.timestamp, rollback.id)
          AND timestamp >= %(since)s AND id NOT IN (SELECT id FROM corrected)
        ORDER BY timestamp DESC, id DESC LIMIT 1
    ) AS undone
    WHERE rollback.kind = 'rollback' AND undone.kind <> 'rollback' AND undone.has_reached_target
      AND NOT (undone.status = 'success' AND undone.old_version IS NOT DISTINCT FROM undone.new_version)
      AND rollback.timestamp >= %(since)s AND rollback.id NOT IN (SELECT id FROM corrected)
), restored AS (
    SELECT CASE WHEN status = 'rolled_back' THEN timestamp - started_at ELSE (
        SELECT later.timestamp FROM updates_historyentry AS later
        WHERE later.service_name = failed.service_name AND later.status IN ('success', 'rolled_back')
          AND (later.timestamp, later.id) > (failed.timestamp, failed.id)
          AND later.id NOT IN (SELECT id FROM corrected)
        ORDER BY later.timestamp, later.id LIMIT 1
    ) - timestamp END AS after
    FROM failed
)
SELECT count(*),
       (SELECT count(*) FROM failed),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY timestamp - released_at)
           FILTER (WHERE status = 'success' AND released_at <= timestamp),
       (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY after) FROM restored)
FROM updates_historyentry
WHERE kind <> 'rollback' AND has_reached_target AND timestamp >= %(since)s
  AND NOT (status = 'success' AND old_version IS NOT DISTINCT FROM new_version)
  AND id NOT IN (SELECT id FROM corrected)
"""


def metrics(*, window: dt.timedelta, now: dt.datetime) -> DoraMetrics:
    return _add_up(window, records.period(since=now - window))


@functools.lru_cache(maxsize=64)
def _add_up(window: dt.timedelta, period: records.Period) -> DoraMetrics:
    """Kept while nothing is added and nothing leaves the window: it reads every entry in it."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"since": period.first_at})
        deployments, failed, lead_time, restore = cursor.fetchone()
    days = window.total_seconds() / SECONDS_A_DAY
    return DoraMetrics(
        deployments=deployments,
        deployment_frequency_per_day=round(deployments / days, 4),
        lead_time_seconds=None if lead_time is None else round(lead_time.total_seconds()),
        change_failure_rate=round(100 * failed / deployments, 2) if deployments else None,
        time_to_restore_seconds=None if restore is None else round(restore.total_seconds()),
    )
