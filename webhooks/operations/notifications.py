"""Notifications to people: one is sent before the answer where its receiver is quick."""

from __future__ import annotations

import dataclasses
import datetime as dt

from django.db import transaction

from saga_project.shared import wakeups
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.outbound import attempts, claims, notices, sender
from webhooks.outbound.channels.notification import Notification
from webhooks.outbound.retry_schedule import DeliveryDecision

QUICK_SECONDS = 5.0


def queue(endpoint: Endpoint, notification: Notification) -> claims.ClaimedDelivery | None:
    """Make a delivery inside the caller's transaction, and claim it; None where the receiver is busy."""
    delivery = notices.make_delivery(endpoint, notification, kind=Delivery.Kind.NOTIFICATION)
    claimed_delivery = claims.claim_one(delivery)
    if claimed_delivery is None:
        wakeups.wake("webhooks.deliver")
    return claimed_delivery


def send_now(claimed_delivery: claims.ClaimedDelivery) -> DeliveryDecision | None:
    """Send what was claimed, outside of any transaction, and return what the answer means."""
    sent = sender.send(claimed_delivery, timeout_seconds=QUICK_SECONDS)
    return attempts.record([sent]).get(claimed_delivery.delivery_id)


@dataclasses.dataclass(frozen=True)
class TestResult:
    """The result of a test message, for its sender."""

    is_delivered: bool
    reason: str
    attempt: Attempt | None


def send_test(endpoint: Endpoint, *, now: dt.datetime) -> TestResult:
    """Send a test message once, without retries, and return what the receiver answered."""
    name = endpoint.configuration.service_name or "saga"
    notification = Notification(name, "This is a test of the channel's configuration.", "info", now)
    with transaction.atomic(durable=True):
        delivery = notices.make_delivery(endpoint, notification, kind=Delivery.Kind.TEST)
        claimed_delivery = claims.claim_one(delivery)
        if claimed_delivery is None:
            delivery.delete()
            return TestResult(False, "The receiver is busy with two other deliveries.", None)
    attempts.record([sender.send(claimed_delivery)])
    delivery.refresh_from_db()
    return TestResult(
        delivery.status == Delivery.Status.DELIVERED,
        delivery.reason,
        delivery.attempts.order_by("-pk").first(),
    )
