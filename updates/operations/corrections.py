"""History is never edited: what was wrong is followed by what is right."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import IntegrityError, transaction

from updates import errors
from updates.history import audit, records
from updates.models import HistoryEntry

CORRECTABLE = ("status", "old_version", "new_version", "running_version", "duration_seconds")
#: What a correction takes over as it is.
COPIED = (
    "service_name",
    "kind",
    "timestamp",
    "started_at",
    "released_at",
    "paused_seconds",
    "artifact_url",
    "checksum",
    "artifact_path",
    "backup_path",
    "job_id",
    "has_reached_target",
    *CORRECTABLE,
)


def correct(
    entry: HistoryEntry, *, changes: dict[str, Any], by: str, reason: str, now: dt.datetime
) -> HistoryEntry:
    """Append a row that takes the entry's place, changed. Raises EntryCorrected, ReasonMissing."""
    if not reason.strip():
        raise errors.ReasonMissing("A correction needs a reason.", field="reason")
    if unknown := set(changes) - set(CORRECTABLE):
        raise ValueError(f"Not correctable: {', '.join(sorted(unknown))}")
    with transaction.atomic(durable=True):
        records.lock(entry.service_name)
        corrected = _copy(entry, changes, by=by, reason=reason)
        audit.record(
            "history.corrected",
            actor=by,
            service_name=entry.service_name,
            data={"entry": entry.pk, "correction": corrected.pk, "reason": reason},
            at=now,
        )
    return corrected


def _copy(entry: HistoryEntry, changes: dict[str, Any], *, by: str, reason: str) -> HistoryEntry:
    fields = {name: getattr(entry, name) for name in COPIED}
    try:
        with transaction.atomic():
            return HistoryEntry.objects.create(
                **{**fields, **changes}, corrects=entry, detail=reason, recorded_by=by
            )
    except IntegrityError as exc:
        raise errors.EntryCorrected(
            f"Entry {entry.pk} was corrected before; correct that one."
        ) from exc
