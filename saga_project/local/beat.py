"""Celery's beat with a leader: of several, on any hosts, the one with the lease sends."""

from __future__ import annotations

import logging
from typing import Any

from django import db
from django_celery_beat.schedulers import DatabaseScheduler

from registry.background import work_slots
from saga_project.local import sweeps

logger = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
#: Longer than a tick may take, and short enough that a lease is renewed in time.
LONGEST_TICK_SECONDS = 5.0


class ElectedScheduler(DatabaseScheduler):  # type: ignore[misc] # the package has no types
    """Sends nothing while another beat has the lease, and takes over when that one ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.election = sweeps.Election(work=work_slots.BEAT, seconds=LEASE_SECONDS)
        self.failure = ""
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        try:
            db.close_old_connections()
            self.election.keep()
        except db.Error as exc:
            logger.warning("beat waits for the database", extra={"reason": str(exc).strip()})
        if not self.election.is_leading:
            return LONGEST_TICK_SECONDS
        return min(float(super().tick(*args, **kwargs)), LONGEST_TICK_SECONDS)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one task; an outage is one line when it begins and one when it ends.

        What was not sent is sent at its next time. Celery's own method prints two tracebacks for each task.
        """
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as exc:  # noqa: BLE001 (any error of the broker; beat goes on)
            self._report(str(exc).strip().partition("\n")[0] or type(exc).__name__)
        else:
            self._report("")

    def _report(self, failure: str) -> None:
        if failure and not self.failure:
            logger.warning("beat cannot send", extra={"reason": failure})
        elif self.failure and not failure:
            logger.warning("beat sends again")
        self.failure = failure

    def close(self) -> None:
        super().close()
        try:
            self.election.give_up()
        except db.Error:
            return  # The lease ends by itself.
