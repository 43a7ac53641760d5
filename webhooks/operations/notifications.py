"""Telling people: a notification is sent before the answer where its receiver is quick."""

from __future__ import annotations

import dataclasses
import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Q
from django.urls import reverse

from registry.models import Service
from saga_project.shared import wakeups
from webhooks import errors
from webhooks.models import Attempt, Delivery, Endpoint, receiver_of
from webhooks.outbound import attempts, channels, claims, sender
from webhooks.outbound.channels.notification import Notification
from webhooks.outbound.retry_schedule import DeliveryDecision

QUICK_SECONDS = 5.0


def queue(endpoint: Endpoint, notification: Notification) -> claims.ClaimedDelivery | None:
    """Make a delivery inside the caller's transaction, and claim it; None where the receiver is busy."""
    delivery = make_delivery(endpoint, notification, kind=Delivery.Kind.NOTIFICATION)
    claimed_delivery = claims.claim_one(delivery)
    if claimed_delivery is None:
        wakeups.wake("webhooks.deliver")
    return claimed_delivery


def send_now(claimed_delivery: claims.ClaimedDelivery) -> DeliveryDecision | None:
    """Send what was claimed, outside of any transaction, and return what the answer means."""
    sent = sender.send(claimed_delivery, timeout_seconds=QUICK_SECONDS)
    return attempts.record([sent]).get(claimed_delivery.delivery_id)


def find_endpoint(service_name: str, channel: str) -> Endpoint:
    """Return the service's own endpoint for the channel, else the global one."""
    service = Service.objects.filter(name=service_name)
    is_own = Q(configuration__service__in=service)
    # A stranger's global endpoint gets nothing of a service that an account owns.
    is_global = Q(configuration__service=None) & (
        Q(configuration__is_administered=True) | ~Exists(service.exclude(account=None))
    )
    rows = Endpoint.objects.filter(is_own | is_global, channel=channel)
    by_scope = {
        row.configuration.service_id is None: row for row in rows.select_related("configuration")
    }
    endpoint = by_scope.get(False) or by_scope.get(True)
    if endpoint is None:
        raise errors.ChannelNotConfigured(
            f"No endpoint is configured for channel '{channel[:64]}'.", field="channel"
        )
    if endpoint.disabled_at is not None:
        raise errors.ChannelNotConfigured(
            f"Channel '{channel}' is switched off since its receiver answered 410; configure it again.",
            field="channel",
        )
    return endpoint


def link_to(service_name: str) -> str:
    """Return the address of the console's page on the service, empty without SAGA_PUBLIC_URL."""
    if not settings.SAGA_PUBLIC_URL:
        return ""
    return settings.SAGA_PUBLIC_URL + reverse("admin:console_service", args=[service_name])


def make_delivery(endpoint: Endpoint, notification: Notification, *, kind: str) -> Delivery:
    notification = dataclasses.replace(notification, link=link_to(notification.service_name))
    return Delivery.objects.create(
        kind=kind,
        endpoint=endpoint,
        service_name=notification.service_name,
        topic=endpoint.channel,
        url=endpoint.url,
        receiver=receiver_of(endpoint.url),
        payload=channels.render(endpoint.channel, notification),
        next_attempt_at=notification.created_at,
        created_at=notification.created_at,
    )


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
        delivery = make_delivery(endpoint, notification, kind=Delivery.Kind.TEST)
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
