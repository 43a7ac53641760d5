"""Keep what came of attempts, and take each delivery where its judgement leads."""

from __future__ import annotations

import datetime as dt
import logging
import random
import uuid
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from registry import events
from registry.models import Subscription
from saga_project.shared import transitions
from webhooks import event_constructors
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.outbound import breaker, metrics, retry_schedule, sender
from webhooks.outbound.retry_schedule import DeliveryDecision, NextState

logger = logging.getLogger(__name__)


def record(results: Sequence[sender.Sent]) -> dict[uuid.UUID, DeliveryDecision]:
    """Keep the attempts and take each delivery where its judgement leads, all in one transaction.

    A result is dropped if another worker has acquired the lease: the other one's counts.
    """
    if not results:
        return {}
    with transaction.atomic():
        leases = {sent.claimed_delivery.delivery_id: sent for sent in results}
        rows = Delivery.objects.select_for_update(of=("self",)).filter(pk__in=leases)
        owned = [row for row in rows if row.lease == leases[row.pk].claimed_delivery.lease]
        evaluations = {row.pk: _evaluate(leases[row.pk], kind=row.kind) for row in owned}
        Attempt.objects.bulk_create(_attempt(leases[row.pk]) for row in owned)
        _finish(
            [row for row in owned if evaluations[row.pk].fate is NextState.DELIVERED], evaluations
        )
        for row in owned:
            if message_id := leases[row.pk].outcome.message_id:
                Delivery.objects.filter(pk=row.pk).update(remote_id=message_id)
            if evaluations[row.pk].fate is not NextState.DELIVERED:
                _move(row, evaluations[row.pk])
        breaker.note(owned, _failed_receivers(owned, leases), now=timezone.now())
        _publish_dead_deliveries(
            [row for row in owned if evaluations[row.pk].fate is NextState.DEAD], evaluations
        )
    for row in owned:
        metrics.attempts_total.labels(evaluations[row.pk].fate.value).inc()
        _log(row, leases[row.pk], evaluations[row.pk])
    return evaluations


def _failed_receivers(
    rows: Sequence[Delivery], leases: dict[uuid.UUID, sender.Sent]
) -> dict[str, bool]:
    """Return for each receiver that was called whether it failed; test messages do not count."""
    found: dict[str, bool] = {}
    for row in rows:
        sent = leases[row.pk]
        if row.kind == Delivery.Kind.TEST or sent.claimed_delivery.foregone is not None:
            continue
        if sent.outcome.is_refused:
            continue  # of this message, not of the receiver
        is_failure = retry_schedule.is_failure(sent.outcome)
        found[row.receiver] = found.get(row.receiver, True) and is_failure
    return found


def _evaluate(sent: sender.Sent, *, kind: str) -> DeliveryDecision:
    evaluation = retry_schedule.evaluate(
        sent.outcome,
        attempt_count=sent.claimed_delivery.attempt_count,
        now=timezone.now(),
        chance=random.random(),  # noqa: S311
    )
    if kind == Delivery.Kind.TEST and evaluation.fate is NextState.RETRY:
        # Staff see the answer at once, so there is no retry.
        return DeliveryDecision(NextState.DEAD, evaluation.reason)
    return evaluation


def _attempt(sent: sender.Sent) -> Attempt:
    return Attempt(
        delivery_id=sent.claimed_delivery.delivery_id,
        started_at=sent.started_at,
        duration_ms=sent.outcome.duration_ms,
        status=sent.outcome.status,
        error=sent.outcome.error,
        answer=sent.outcome.answer,
    )


def _finish(rows: Sequence[Delivery], evaluations: dict[uuid.UUID, DeliveryDecision]) -> None:
    """Settle what was taken: most are, so they cost one statement."""
    for reason in {evaluations[row.pk].reason for row in rows}:
        ids = [row.pk for row in rows if evaluations[row.pk].reason == reason]
        transitions.move_rows(
            Delivery.objects.filter(pk__in=ids),
            Delivery.Status.DELIVERED,
            reason=reason,
            lease=None,
            lease_expires_at=None,
            finished_at=timezone.now(),
        )


def _move(row: Delivery, evaluation: DeliveryDecision) -> None:
    now = timezone.now()
    if evaluation.fate is NextState.RETRY:
        to = Delivery.Status.PENDING
        moment = {"next_attempt_at": now + dt.timedelta(seconds=evaluation.retry_in_seconds)}
    else:
        to, moment = Delivery.Status(evaluation.fate.value), {"finished_at": now}
    transitions.require_move(
        row, to, lease=None, lease_expires_at=None, reason=evaluation.reason, **moment
    )
    if evaluation.is_gone:
        _disable(row, now=now)


def _disable(row: Delivery, *, now: dt.datetime) -> None:
    """The receiver answered 410: the endpoint is disabled until it is configured again."""
    if row.endpoint_id is not None:
        Endpoint.objects.filter(pk=row.endpoint_id, url=row.url).update(disabled_at=now)
    if row.subscription_id is not None:
        active = Subscription.objects.filter(
            pk=row.subscription_id, state=Subscription.State.ACTIVE, callback_url=row.url
        )
        transitions.move_rows(active, Subscription.State.SUSPENDED, updated_at=now)


def _publish_dead_deliveries(
    rows: Sequence[Delivery], evaluations: dict[uuid.UUID, DeliveryDecision]
) -> None:
    """Publish what died; the death of such news is no news, or two dead receivers would never rest."""
    events.publish(
        *(
            event_constructors.delivery_dead(
                row.service_name,
                delivery_id=row.pk,
                topic=row.topic,
                reason=evaluations[row.pk].reason,
                attempts=row.attempt_count,
            )
            for row in rows
            if _is_news(row)
        )
    )


def _is_news(row: Delivery) -> bool:
    is_about_deliveries = row.is_about_deliveries or row.topic == event_constructors.DELIVERY_DEAD
    return not is_about_deliveries and row.kind != Delivery.Kind.TEST


def _log(row: Delivery, sent: sender.Sent, evaluation: DeliveryDecision) -> None:
    level = logging.INFO if evaluation.fate is NextState.DELIVERED else logging.WARNING
    logger.log(
        level,
        "delivery attempted",
        extra={
            "delivery_id": str(row.pk),
            "topic": row.topic,
            "service_name": row.service_name,
            "attempt": sent.claimed_delivery.attempt_count,
            "status": sent.outcome.status,
            "duration_ms": sent.outcome.duration_ms,
            "fate": evaluation.fate.value,
        },
    )
