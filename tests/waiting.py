"""Waiting for what another thread, process or transaction is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil
from django.db import connection

Value = TypeVar("Value")


def until(
    condition: Callable[[], Value], *, seconds: float = 30.0, pause_seconds: float = 0.01
) -> Value:
    """Return the condition's first true value; fails where none comes in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(pause_seconds)
    return value


def until_ended(processes: Sequence[psutil.Process]) -> None:
    """Wait for the ends of processes; the reaping process (process 1, say) may be slow."""
    until(lambda: not any(_runs(process) for process in processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until_events_are_readable() -> None:
    """Wait for transactions that began before now; those of other databases of the server count too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        newest = cursor.fetchone()[0]

        def are_ended() -> bool:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            return bool(cursor.fetchone()[0] >= newest)

        until(are_ended)
