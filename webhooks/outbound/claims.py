"""Leases on deliveries, at most two at a time for one receiver."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping

from django import db
from django.db import connection, transaction
from django.db.models import Count, F, Min
from django.utils import timezone

from registry.background import work_slots
from registry.models import Subscription
from saga_project.shared import crypto, locks, transitions
from webhooks import signing_secrets
from webhooks.models import Delivery, lease_end
from webhooks.outbound import breaker, channels, rendering
from webhooks.outbound.channels import mail
from webhooks.outbound.retry_schedule import AttemptOutcome

logger = logging.getLogger(__name__)

PLACES = 2
BATCH = 25
LEASE_SECONDS = 60.0
# Nothing is begun so late that it could outlive its lease: a call takes at most ten seconds.
BEGIN_WITHIN_SECONDS = LEASE_SECONDS - 20.0

Live = Callable[[str], list[str]]


@dataclasses.dataclass(frozen=True)
class ClaimedDelivery:
    """A claimed delivery with all that its sender needs, so that sending needs no database."""

    delivery_id: uuid.UUID
    lease: uuid.UUID
    receiver: str
    attempt_count: int
    url: str
    body: bytes
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    is_standard: bool
    begin_until: float
    form: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    addresses: tuple[str, ...] = ()
    foregone: AttemptOutcome | None = None


def claim(*, queues: dict[str, int], room: int) -> list[tuple[int, list[ClaimedDelivery]]]:
    """Lease what is due: for each receiver its free places and a batch.

    ``queues`` holds how many more deliveries each queue of the caller takes; ``room`` is how many receivers
    it may take on beside them. A receiver with all places taken is skipped.
    """
    with transaction.atomic():
        _lock_claims()
        taken = _taken_places()
        waiting, probed, disabled = breaker.held(now=timezone.now())
        claimed: list[tuple[int, list[ClaimedDelivery]]] = []
        for receiver in _receivers_due():
            if receiver in waiting or (receiver in probed and taken[receiver]):
                continue
            if receiver in probed:
                places, wanted = 1, 0 if receiver in queues else min(1, room)
            elif receiver in queues:
                places, wanted = 0, queues[receiver]
            else:
                places, wanted = PLACES - taken[receiver], BATCH if room > 0 else 0
            if wanted <= 0 or (places <= 0 and receiver not in queues):
                continue
            is_disabled = receiver in disabled
            if claimed_deliveries := _lease(receiver, wanted, is_disabled=is_disabled):
                room -= 0 if receiver in queues else 1
                claimed.append((places, claimed_deliveries))
        return claimed


def undelivered_seconds() -> float:
    """Return for how long a delivery has been due while no drain works; 0 where one does."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDELIVERED, [work_slots.DELIVERIES])
        return float(cursor.fetchone()[0])


_UNDELIVERED = """
SELECT CASE WHEN EXISTS (
           SELECT 1 FROM registry_workslot WHERE work = %s AND expires_at >= clock_timestamp()
       ) THEN 0
       ELSE coalesce(extract(epoch FROM clock_timestamp() - (
           SELECT min(next_attempt_at) FROM webhooks_delivery AS delivery
            WHERE status = 'pending' AND next_attempt_at <= now()
              AND NOT EXISTS (SELECT 1 FROM webhooks_receiver AS receiver
                               WHERE receiver.digest = delivery.receiver
                                 AND receiver.paused_at IS NOT NULL)
       )), 0) END
"""


def _lock_claims() -> None:
    """One claim at a time, so that the count of places stays correct."""
    locks.acquire(locks.Lock.DELIVERY_CLAIMS)


def _taken_places() -> Counter[str]:
    rows = Delivery.objects.in_flight().order_by().values("receiver").annotate(n=Count("pk"))
    return Counter({row["receiver"]: row["n"] for row in rows})


def _receivers_due() -> list[str]:
    rows = (
        Delivery.objects.due().order_by().values("receiver").annotate(first=Min("next_attempt_at"))
    )
    return [row["receiver"] for row in sorted(rows, key=lambda row: row["first"])]


def _lease(receiver: str, limit: int, *, is_disabled: bool) -> list[ClaimedDelivery]:
    due = Delivery.objects.due().filter(receiver=receiver).order_by("next_attempt_at", "pk")
    rows = list(
        due.select_related("subscription", "endpoint").select_for_update(
            skip_locked=True, of=("self",)
        )[:limit]
    )
    lease, now = uuid.uuid4(), timezone.now()
    transitions.move_rows(
        Delivery.objects.filter(pk__in=[row.pk for row in rows]),
        Delivery.Status.SENDING,
        lease=lease,
        lease_expires_at=lease_end(LEASE_SECONDS),
        attempt_count=F("attempt_count") + 1,
    )
    begin_until = time.monotonic() + BEGIN_WITHIN_SECONDS
    live = functools.cache(
        functools.partial(signing_secrets.live, now=now)
    )  # once for a whole batch
    packed = [_pack(row, lease=lease, begin_until=begin_until, live=live) for row in rows]
    return [_given_up(each) for each in packed] if is_disabled else packed


def _given_up(claimed: ClaimedDelivery) -> ClaimedDelivery:
    """Return what is not sent since its receiver is disabled; resuming the receiver sends it."""
    reason = "The receiver is disabled since it failed for days; resume it to send this."
    return dataclasses.replace(claimed, foregone=AttemptOutcome(error=reason, is_refused=True))


def claim_one(delivery: Delivery) -> ClaimedDelivery | None:
    """Lease this very delivery, in the caller's transaction; None where its receiver has no free place."""
    _lock_claims()
    in_flight = Delivery.objects.in_flight().filter(receiver=delivery.receiver)
    if in_flight.count() >= PLACES:
        return None
    lease = uuid.uuid4()
    rows = Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.PENDING)
    taken = transitions.move_rows(
        rows,
        Delivery.Status.SENDING,
        lease=lease,
        lease_expires_at=lease_end(LEASE_SECONDS),
        attempt_count=F("attempt_count") + 1,
    )
    if not taken:
        return None
    begin_until = time.monotonic() + BEGIN_WITHIN_SECONDS
    live = functools.partial(signing_secrets.live, now=timezone.now())
    return _pack(delivery, lease=lease, begin_until=begin_until, live=live)


def _pack(
    delivery: Delivery, *, lease: uuid.UUID, begin_until: float, live: Live
) -> ClaimedDelivery:
    form = rendering.form_of(delivery)
    obstacle = _obstacle(delivery, form)
    foregone = AttemptOutcome(error=obstacle, is_refused=True) if obstacle else None
    known: list[str] = []
    rendered = rendering.RenderedMessage(body=b"")
    try:
        if foregone is None:
            rendered = rendering.render(delivery)
        if form == channels.STANDARD and foregone is None:
            known = _secrets_of(delivery, live=live)
    except crypto.SecretUnreadable as exc:
        foregone = AttemptOutcome(error=exc.message)
    except db.Error:
        raise
    except Exception:
        # One delivery must not keep all others from being claimed.
        logger.exception("delivery not made", extra={"delivery_id": str(delivery.pk)})
        foregone = AttemptOutcome(error="Saga failed to make the message; its log says why.")
    return ClaimedDelivery(
        delivery_id=delivery.pk,
        lease=lease,
        receiver=delivery.receiver,
        attempt_count=delivery.attempt_count + 1,
        url=rendered.url or delivery.url,
        body=rendered.body,
        secrets=tuple(known),
        is_standard=form == channels.STANDARD,
        begin_until=begin_until,
        form=form,
        headers=rendered.headers,
        addresses=rendered.addresses,
        foregone=foregone,
    )


def _obstacle(delivery: Delivery, form: str) -> str:
    """Return why this delivery is obsolete, or cannot be sent any more; empty if it is still wanted."""
    if delivery.kind == Delivery.Kind.EVENT:
        subscription = delivery.subscription
        is_active = subscription is not None and subscription.state == Subscription.State.ACTIVE
        return "" if is_active else "The subscription is no longer active."
    if delivery.endpoint is not None and delivery.endpoint.disabled_at is not None:
        return "The channel is switched off since its receiver answered 410; configure it again."
    if (form == channels.EMAIL) != delivery.url.startswith(mail.SCHEME):
        return "The channel leads to another kind of address now: mail and calls differ in format."
    return ""


def _secrets_of(delivery: Delivery, *, live: Live) -> list[str]:
    """Return the secrets to sign with. Raises SecretUnreadable."""
    if delivery.endpoint is not None and delivery.endpoint.sealed_secret:
        return [crypto.decrypt(delivery.endpoint.sealed_secret)]
    if delivery.subscription is None:
        return live(delivery.service_name)
    sealed = delivery.subscription.sealed_secret
    return [crypto.decrypt(sealed)] if sealed else []


def release(claimed_delivery: ClaimedDelivery) -> None:
    """Give back what was claimed and not begun."""
    transitions.move_rows(
        Delivery.objects.filter(pk=claimed_delivery.delivery_id, lease=claimed_delivery.lease),
        Delivery.Status.PENDING,
        lease=None,
        lease_expires_at=None,
        attempt_count=F("attempt_count") - 1,
    )
