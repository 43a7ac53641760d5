"""Reading what happened: cursors, selections and pages over the events, and their end after retention."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Func, Q, QuerySet
from django.db.models.fields import BigIntegerField

from registry import errors
from registry.models import Event, EventHorizon

MAX_BIGINT = 2**63 - 1
PURGE_BATCH = 10_000
_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,19})", re.ASCII)


class _OldestOpenTransaction(Func):
    """Every transaction below this one has ended: nothing can appear there any more."""

    template = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    output_field = BigIntegerField()


@dataclass(frozen=True, order=True)
class Cursor:
    """A place in the order of events: transaction first, then row."""

    transaction: int
    event: int

    def __str__(self) -> str:
        return f"{self.transaction}-{self.event}"


def parse_cursor(text: str) -> Cursor:
    match = _CURSOR.fullmatch(text)
    if match is None or max(int(match[1]), int(match[2])) > MAX_BIGINT:
        raise errors.InvalidCursor(
            "A cursor is what an earlier answer gave as 'cursor' or 'id', unchanged.", field="after"
        )
    return Cursor(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class Selection:
    """A filter of events: names, or prefixes that end in ``*``; empty means all."""

    services: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def condition(self) -> Q:
        return _any_of("service_name", self.services) & _any_of("type", self.types)

    def matches(self, entry: Entry) -> bool:
        return _matches(self.services, entry.service_name) and _matches(self.types, entry.type)


def _any_of(column: str, patterns: tuple[str, ...]) -> Q:
    """Exact names and prefixes only: each is a range of an index, also among millions of rows."""
    exact = [pattern for pattern in patterns if not pattern.endswith("*")]
    condition = Q(**{f"{column}__in": exact}) if exact else Q()
    for pattern in patterns:
        if pattern == "*":
            return Q()
        if pattern.endswith("*"):
            condition |= Q(**{f"{column}__startswith": pattern[:-1]})
    return condition


def _matches(patterns: tuple[str, ...], text: str) -> bool:
    return not patterns or any(
        text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
        for pattern in patterns
    )


@dataclass(frozen=True)
class Entry:
    """One event as readers get it; its id is the cursor that continues after it."""

    cursor: Cursor
    type: str
    service_name: str
    occurred_at: dt.datetime
    data: Any

    def document(self) -> dict[str, Any]:
        return {
            "id": str(self.cursor),
            "type": self.type,
            "service_name": self.service_name or None,
            "occurred_at": self.occurred_at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
            "data": self.data,
        }


@dataclass(frozen=True)
class Page:
    entries: list[Entry]
    cursor: Cursor

    def document(self) -> dict[str, Any]:
        return {
            "events": [entry.document() for entry in self.entries],
            "cursor": str(self.cursor),
        }


# --- Pages ----------------------------------------------------------------------------------------


def head() -> Cursor:
    """Return the place up to which nothing can appear any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return Cursor(cursor.fetchone()[0], 0)


def open_transactions() -> tuple[int, int]:
    """Return the oldest transaction that is still open, and the next one that will begin."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint"
            " FROM pg_current_snapshot() AS s"
        )
        oldest, following_one = cursor.fetchone()
        return oldest, following_one


def newest(selection: Selection, *, limit: int) -> Page:
    """Return the newest matching events, oldest first, and where to go on."""
    edge = head()
    rows = Event.objects.filter(selection.condition(), transaction__lt=edge.transaction)
    entries = _entries(rows.order_by("-transaction", "-id")[:limit])[::-1]
    return Page(entries, entries[-1].cursor if entries else edge)


def following(selection: Selection, after: Cursor, *, limit: int) -> Page:
    """Return the matching events that come next after a cursor.

    Raises CursorTooOld where some of them may have been purged.
    """
    rows = (
        Event.objects.filter(
            selection.condition(),
            transaction__gte=after.transaction,
            transaction__lt=_OldestOpenTransaction(),
        )
        .exclude(transaction=after.transaction, id__lte=after.event)
        .order_by("transaction", "id")
    )
    entries = _entries(rows[:limit])
    check_is_readable(after)
    return Page(entries, entries[-1].cursor if entries else after)


def _entries(rows: QuerySet[Event]) -> list[Entry]:
    columns = ("transaction", "id", "type", "service_name", "occurred_at", "data")
    return [
        Entry(Cursor(xid, pk), kind, name, at, data)
        for xid, pk, kind, name, at, data in rows.values_list(*columns)
    ]


def check_is_readable(after: Cursor) -> None:
    """Refuse a cursor before the horizon, and one of another history (a database that was restored).

    Asked after the rows were read: a purge that ran in between is then seen.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, h.transaction, h.event"
            " FROM (SELECT) AS one LEFT JOIN registry_eventhorizon AS h ON true"
        )
        open_transaction, xid, event = cursor.fetchone()
    horizon = Cursor(xid or 0, event or 0)
    if after < horizon or after.transaction > open_transaction:
        raise errors.CursorTooOld(
            "Events after this cursor are no longer kept. Begin again without a cursor, and read the"
            " services' present state."
        )


def adopt_restored() -> bool:
    """Take over events that were written in another cluster (a dump that was restored); says whether.

    Their transaction numbers mean nothing here, and may be too high ever to become readable. They
    become the oldest, in the order of their rows; a cursor from before is refused.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        now = cursor.fetchone()[0]
        if not Event.objects.filter(transaction__gt=now).exists():
            return False
        Event.objects.filter(transaction__gt=0).update(transaction=0)
        EventHorizon.objects.update_or_create(id=1, defaults={"transaction": now, "event": 0})
        return True


# --- Retention ------------------------------------------------------------------------------------


def purge(*, before: dt.datetime) -> int:
    """Delete what happened before the given time, in batches; returns how many.

    Always a prefix of the order of reading, so that one horizon says what is gone: what was written
    before the first event that is to be kept.
    """
    first_kept = (
        Event.objects.filter(occurred_at__gte=before)
        .order_by("transaction", "id")
        .values_list("transaction", "id")
        .first()
    )
    end = Cursor(*first_kept) if first_kept else head()
    deleted = 0
    while batch := _purge_batch(end):
        deleted += batch
    return deleted


def _purge_batch(end: Cursor) -> int:
    with transaction.atomic(durable=True):
        rows = (
            Event.objects.filter(transaction__lte=end.transaction)
            .exclude(transaction=end.transaction, id__gte=end.event)
            .order_by("transaction", "id")
            .values_list("transaction", "id")[:PURGE_BATCH]
        )
        places = list(rows)
        if not places:
            return 0
        xid, event = places[-1]
        EventHorizon.objects.update_or_create(id=1, defaults={"transaction": xid, "event": event})
        return _delete(pk for _, pk in places)


def _delete(keys: Iterable[int]) -> int:
    deleted, _ = Event.objects.filter(pk__in=list(keys)).delete()
    return deleted
