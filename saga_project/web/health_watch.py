"""Publish what /health says: events when Saga degrades and recovers, and messages that need no other process.

One web process of all hosts does it. It runs the alerts itself and sends their messages, so that a stopped
sweep process, broker or worker can be reported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from django import db
from django.conf import settings
from django.db import transaction

from registry import events
from registry.background import work_slots
from registry.models import Event
from saga_project.shared import errors
from saga_project.web import health
from webhooks.models import Delivery
from webhooks.outbound import attempts, claims, sender
from webhooks.outbound.alerts import sweep

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
LEASE_SECONDS = 20.0
#: Rounds in which this process still sends the end of a problem.
ROUNDS_AFTER = 12
REMEMBERED = 200
MAX_MESSAGES = 50
PREFIX = "saga."
RECOVERED = "recovered"

Found = dict[str, tuple[str, str]]


@dataclass
class HealthWatch:
    """What this process knows while it has the lease: for each check how it is, degraded or unhealthy."""

    slot: work_slots.Slot | None = None
    known: dict[str, str] = field(default_factory=dict)
    rounds_left: int = 0

    def keep(self) -> bool:
        """Acquire or renew the lease; what another process reported before is read from the events."""
        if self.slot is not None and work_slots.renew(self.slot, seconds=LEASE_SECONDS):
            return True
        self.slot = work_slots.acquire(work_slots.HEALTH, seconds=LEASE_SECONDS)
        if self.slot is not None:
            self.known = last_reported()
        return self.slot is not None

    def round(self) -> None:
        if not self.keep():
            return
        found = problems_of(health.examine())
        if self.publish(found):
            self.rounds_left = ROUNDS_AFTER
        if self.known or self.rounds_left:
            self.rounds_left = max(0, self.rounds_left - 1)
            sweep.sweep()
            send_own()

    def publish(self, found: Found) -> bool:
        """Publish what differs from what is known, and return whether anything did."""
        now = {check: status for check, (status, _) in found.items()}
        drafts = [
            events.saga_problem(check=check, status=status, message=message)
            for check, (status, message) in found.items()
            if self.known.get(check) != status
        ]
        drafts += [events.saga_recovered(check=check) for check in self.known if check not in now]
        with transaction.atomic():
            events.publish(*drafts)
        self.known = now
        return bool(drafts)

    def give_up(self) -> None:
        if self.slot is not None:
            work_slots.give_up(self.slot)


def problems_of(seen: health.Health) -> Found:
    """Return each check that is not well, with the worse word of two problems."""
    found: Found = {}
    for problem in sorted(seen.problems, key=lambda each: each.level):
        found[problem.check] = (problem.level.word, problem.message)
    if not seen.is_redis_connected:
        text = "Redis does not answer: nothing is found, and no heartbeat is taken."
        found["redis"] = ("unhealthy", text)
    return found


def last_reported() -> dict[str, str]:
    """Return the checks that were last reported as degraded or unhealthy."""
    kinds = [f"{PREFIX}{word}" for word in ("degraded", "unhealthy", RECOVERED)]
    rows = Event.objects.filter(type__in=kinds).order_by("-transaction", "-id")
    latest: dict[str, str] = {}
    for kind, data in rows.values_list("type", "data")[:REMEMBERED]:
        latest.setdefault(_check_of(data), kind.removeprefix(PREFIX))
    return {check: status for check, status in latest.items() if status != RECOVERED}


def _check_of(data: object) -> str:
    return str(data.get("check", "")) if isinstance(data, Mapping) else ""


def send_own() -> int:
    """Send what is due of messages about Saga itself and its deliveries, and return how much it was."""
    due = Delivery.objects.due().filter(is_about_deliveries=True).order_by("next_attempt_at")
    count = 0
    for row in due.select_related("subscription", "endpoint")[:MAX_MESSAGES]:
        with transaction.atomic():
            claimed = claims.claim_one(row)
        if claimed is not None:
            attempts.record([sender.send(claimed)])
            count += 1
    return count


async def follow() -> None:
    """Watch until cancelled, if SAGA_HEALTH_EVENTS is on."""
    if not settings.SAGA_HEALTH_EVENTS:
        return
    watch = HealthWatch()
    try:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await asyncio.to_thread(_round, watch)
    finally:
        await asyncio.to_thread(_end, watch)


def _round(watch: HealthWatch) -> None:
    try:
        watch.round()
    except (db.Error, errors.Unavailable):
        logger.debug("health cannot be determined now", exc_info=True)
    except Exception:
        logger.exception("watch of health failed")
    finally:
        db.connections.close_all()


def _end(watch: HealthWatch) -> None:
    try:
        watch.give_up()
    except db.Error:
        logger.debug("the lease ends by itself")
    finally:
        db.connections.close_all()
