"""Wait in a request until a job changes.

Each waiting request holds a thread of its web process, so that only few may wait at once; beyond that the
answer comes at once, and the client asks again.
"""

from __future__ import annotations

import threading
import time

from django.db import connection
from django.db.models import Count, Q

from updates.models import Job, Step

MAX_WAITING = 8
POLL_SECONDS = 0.25

_places = threading.BoundedSemaphore(MAX_WAITING)


def wait_for_change(job_pk: int, *, seconds: float) -> None:
    """Return once the job or its journal has changed, or the time is over."""
    if not _places.acquire(blocking=False):
        return
    try:
        _wait(job_pk, ends_at=time.monotonic() + seconds)
    finally:
        _places.release()


def _wait(job_pk: int, *, ends_at: float) -> None:
    before = _state(job_pk)
    while time.monotonic() < ends_at:
        if not connection.in_atomic_block:
            connection.close()  # other requests need it more than one that sleeps
        time.sleep(min(POLL_SECONDS, max(0.0, ends_at - time.monotonic())))
        if _state(job_pk) != before:
            return


def _state(job_pk: int) -> tuple[object, ...] | None:
    """Return what an answer shows of the job, as far as it changes."""
    rows = Job.objects.filter(pk=job_pk).annotate(
        begun=Count("steps", filter=Q(steps__started_at__isnull=False)),
        ended=Count("steps", filter=Q(steps__status__in=Step.ENDED)),
    )
    return rows.values_list(
        "status", "progress", "error", "needs_attention", "begun", "ended"
    ).first()
