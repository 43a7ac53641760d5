"""The circuit breaker: a receiver that keeps failing is paused and probed, and after days disabled.

A paused receiver's deliveries wait without using up their attempts; one at a time is the probe.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from registry import events
from saga_project.shared import http_client
from webhooks import event_constructors
from webhooks.models import Delivery, Receiver

FAILURES_UNTIL_PAUSED = 10
PAUSED_AFTER = dt.timedelta(minutes=1)
PROBE_EVERY = dt.timedelta(minutes=5)
DISABLED_AFTER = dt.timedelta(days=5)


def held(*, now: dt.datetime) -> tuple[set[str], set[str], set[str]]:
    """Return the receivers that wait, those that take one probe, and those that are disabled."""
    waiting, probed, disabled = set(), set(), set()
    for row in Receiver.objects.exclude(paused_at=None):
        if row.disabled_at is not None:
            disabled.add(row.digest)
        elif row.probe_at is not None and row.probe_at > now:
            waiting.add(row.digest)
        else:
            probed.add(row.digest)
    return waiting, probed, disabled


def note(rows: Sequence[Delivery], has_failed: Mapping[str, bool], *, now: dt.datetime) -> None:
    """Count what came of attempts, in their transaction; ``has_failed`` says it by receiver.

    Where several attempts of one receiver are recorded together, one success counts.
    """
    if not has_failed:
        return
    known = {
        row.digest: row
        for row in Receiver.objects.select_for_update().filter(digest__in=has_failed).order_by("pk")
    }
    by_receiver = {row.receiver: row for row in rows}
    for digest, is_failure in sorted(has_failed.items()):
        row = known.get(digest)
        if is_failure:
            _count(row or _new(by_receiver[digest], now=now), now=now)
        elif row is not None:
            _recover(row)


def _new(delivery: Delivery, *, now: dt.datetime) -> Receiver:
    row, _ = Receiver.objects.get_or_create(
        digest=delivery.receiver,
        defaults={
            "url": delivery.url,
            "service_name": delivery.service_name,
            "failing_since": now,
        },
    )
    return row


def _count(row: Receiver, *, now: dt.datetime) -> None:
    row.failures += 1
    fails_for = now - row.failing_since
    is_repeated = row.failures >= FAILURES_UNTIL_PAUSED and fails_for >= PAUSED_AFTER
    if row.paused_at is None and is_repeated:
        row.paused_at = now
        _publish("paused", row)
    if row.paused_at is not None:
        row.probe_at = now + PROBE_EVERY
        if row.disabled_at is None and fails_for >= DISABLED_AFTER:
            row.disabled_at = now
            _publish("disabled", row)
    row.save()


def _recover(row: Receiver) -> None:
    if row.paused_at is not None:
        _publish("resumed", row)
    row.delete()


def _publish(moment: str, row: Receiver) -> None:
    events.publish(
        event_constructors.receiver(
            moment,
            row.service_name,
            receiver=row.digest,
            url=http_client.masked(row.url),
            failures=row.failures,
        )
    )


def resume(row: Receiver, *, now: dt.datetime) -> None:
    """Forget the failures of a locked receiver, and publish that; what waits for it is due at once.

    Its next attempts were put off further with each failure, by up to a day.
    """
    waiting = Delivery.objects.filter(receiver=row.digest, status=Delivery.Status.PENDING)
    waiting.filter(next_attempt_at__gt=now).update(next_attempt_at=now)
    _recover(row)
