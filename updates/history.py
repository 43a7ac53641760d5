"""Write and read what happened to services."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass

from django.db import connection

from updates.models import HistoryEntry


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one update ended. ``running_version`` is what runs afterwards, None where nobody knows.

    ``duration_seconds`` leaves out ``paused_seconds``.
    """

    service_name: str
    kind: str
    status: str
    old_version: str | None
    new_version: str | None
    running_version: str | None
    timestamp: dt.datetime
    started_at: dt.datetime | None = None
    released_at: dt.datetime | None = None
    duration_seconds: int | None = None
    paused_seconds: int | None = None
    artifact_url: str | None = None
    checksum: str | None = None
    artifact_path: str | None = None
    backup_path: str | None = None
    job_id: str | None = None
    detail: str = ""
    recorded_by: str = ""


def record(outcome: Outcome) -> HistoryEntry:
    """Append the outcome inside the caller's transaction; a second time for the same job changes nothing."""
    lock(outcome.service_name)
    if outcome.job_id is not None:
        known = (
            HistoryEntry.objects.filter(job_id=outcome.job_id, corrects=None).order_by("id").first()
        )
        if known is not None:
            return known
    return HistoryEntry.objects.create(**asdict(outcome))


def lock(service_name: str) -> None:
    """Let nobody else write history of the service until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 4))", [service_name])


def deployed_version(service_name: str) -> str | None:
    """Return the version that runs since the last entry that knows, None without one."""
    return (
        HistoryEntry.objects.filter(service_name=service_name, running_version__isnull=False)
        .standing()
        .newest_first()
        .values_list("running_version", flat=True)
        .first()
    )
