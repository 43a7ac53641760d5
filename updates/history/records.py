"""Write and read what happened to services."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass

from django.db import connection
from django.db.models import Case, F, QuerySet, Sum, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.tuple_lookups import TupleLessThan
from django.db.models.functions import Cast, NullIf

from registry.models import Service
from saga_project.shared import api, locks
from updates.models import HistoryEntry, HistoryTally

#: Of an export, as many rows as are read at once.
CHUNK_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class UpdateOutcome:
    """How one update ended. ``running_version`` is what runs afterwards, None if unknown.

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
    has_reached_target: bool = True


def record(outcome: UpdateOutcome) -> HistoryEntry:
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
    """Serialise writers of the service's history until this transaction ends."""
    locks.acquire_named(locks.NamedLock.HISTORY_OF_SERVICE, service_name)


def deployed_version(service_name: str) -> str | None:
    """Return the version that runs since the last entry that knows, None without one."""
    return (
        HistoryEntry.objects.filter(service_name=service_name, running_version__isnull=False)
        .standing()
        .newest_first()
        .values_list("running_version", flat=True)
        .first()
    )


def placed_version(service_name: str) -> str | None:
    """Return the version that the last deployment or rollback left running, None without one."""
    return (
        HistoryEntry.objects.filter(service_name=service_name, running_version__isnull=False)
        .exclude(kind=HistoryEntry.Kind.REPORTED)
        .standing()
        .newest_first()
        .values_list("running_version", flat=True)
        .first()
    )


# --- Reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class HistorySelection:
    """A filter of entries: ``since`` is inclusive, ``until`` exclusive."""

    service_name: str | None = None
    status: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


Column = str | Combinable
Row = tuple[object, ...]

#: What an answer shows of an entry, in the documented order, then what is known beyond that.
COLUMNS: dict[str, Column] = {
    "service_name": "service_name",
    "old_version": "old_version",
    "new_version": "new_version",
    "timestamp": api.Zulu("timestamp"),
    "status": "status",
    "duration_seconds": "duration_seconds",
    "artifact_url": "artifact_url",
    "checksum": "checksum",
    "artifact_path": "artifact_path",
    "backup_path": "backup_path",
    "job_id": "job_id",
    "actor": NullIf(F("recorded_by"), Value("")),
    "trigger": Case(
        When(kind="deploy", recorded_by__startswith="policy ", then=Value("policy")),
        default=F("kind"),
    ),
}


def is_known(service_name: str) -> bool:
    """Return whether the name occurs in the registry or in history."""
    return (
        Service.objects.filter(name=service_name).exists()
        or HistoryEntry.objects.filter(service_name=service_name).exists()
    )


def select(selection: HistorySelection) -> QuerySet[HistoryEntry]:
    """Return the standing entries that are wanted, newest first."""
    wanted = {
        "service_name": selection.service_name,
        "status": selection.status,
        "timestamp__gte": selection.since,
        "timestamp__lt": selection.until,
    }
    conditions = {name: value for name, value in wanted.items() if value is not None}
    return HistoryEntry.objects.filter(**conditions).standing().newest_first()


def count(selection: HistorySelection) -> int:
    """Return how many entries there are; without times it is known without counting."""
    if selection.since is not None or selection.until is not None:
        return select(selection).count()
    wanted = {"service_name": selection.service_name, "status": selection.status}
    conditions = {name: value for name, value in wanted.items() if value is not None}
    tallies = HistoryTally.objects.filter(**conditions)
    return tallies.aggregate(total=Sum("entries"))["total"] or 0


@dataclass(frozen=True)
class Period:
    """The entries since a moment, as they are now: what was added up for an equal one still holds."""

    first_at: dt.datetime | None
    standing: int
    corrections: int
    newest_id: int


_PERIOD = """
SELECT (SELECT min(timestamp) FROM updates_historyentry WHERE timestamp >= %s),
       (SELECT coalesce(sum(entries), 0) FROM updates_historytally),
       (SELECT count(*) FROM updates_historyentry WHERE corrects_id IS NOT NULL),
       (SELECT coalesce(max(id), 0) FROM updates_historyentry)
"""


def period(*, since: dt.datetime) -> Period:
    """Return what names these entries. Nothing is ever edited, so that any change changes a count."""
    with connection.cursor() as cursor:
        cursor.execute(_PERIOD, [since])
        first_at, standing, corrections, newest_id = cursor.fetchone()
    return Period(first_at, int(standing), corrections, newest_id)


def rows(selection: HistorySelection, *, limit: int, offset: int = 0) -> list[Row]:
    return list(select(selection).values_list(*COLUMNS.values())[offset : offset + limit])


def stream(
    selection: HistorySelection, *, limit: int | None, columns: Collection[Column]
) -> Iterator[list[Row]]:
    """Yield the rows in chunks, each read by a query of its own.

    No transaction and no connection is held while a slow reader takes its time; rows that are
    added meanwhile are newer than what was read, and are left out.
    """
    left, last = limit, None
    while left is None or left > 0:
        size = CHUNK_ROWS if left is None else min(left, CHUNK_ROWS)
        chunk = list(_after(selection, last).values_list(*columns, *_PLACE)[:size])
        _lend_connection()
        if chunk:
            yield [row[: -len(_PLACE)] for row in chunk]
        if len(chunk) < size:
            return
        last = chunk[-1][-len(_PLACE) :]
        left = None if left is None else left - size


#: A row's place in the order, as text, since parsing it into a datetime is not needed.
_PLACE = (Cast("timestamp", TextField()), "id")


def _after(selection: HistorySelection, last: Row | None) -> QuerySet[HistoryEntry]:
    entries = select(selection)
    return entries if last is None else entries.filter(TupleLessThan(("timestamp", "id"), last))


def _lend_connection() -> None:
    """Give the connection back to the pool, where there is one, until the next chunk."""
    if "pool" in connection.settings_dict["OPTIONS"] and not connection.in_atomic_block:
        connection.close()
