"""An event becomes deliveries in the transaction that publishes it: both are committed, or neither."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from registry.events import published
from registry.models import Event, Subscription
from saga_project.shared import wakeups
from webhooks.models import Delivery, receiver_of
from webhooks.outbound.channels import standard


@receiver(published, dispatch_uid="webhooks.enqueue")
def enqueue(events: Sequence[Event], **_: Any) -> None:
    subscriptions = (
        Subscription.objects.filter(
            service__name__in={event.service_name for event in events},
            state=Subscription.State.ACTIVE,
        )
        .exclude(callback_url="")
        .select_related("service")
    )
    rows = [
        _delivery(event, subscription)
        for subscription in subscriptions
        for event in events
        if event.service_name == subscription.service.name and matches(subscription, event.type)
    ]
    if rows:
        Delivery.objects.bulk_create(rows)
        wakeups.ring("webhooks.deliver")


def matches(subscription: Subscription, kind: str) -> bool:
    """Return whether a subscription covers events of this type; without topics it covers all."""
    topics = subscription.topics or ["*"]
    return any(fnmatch.fnmatchcase(kind, topic) for topic in topics)


def _delivery(event: Event, subscription: Subscription) -> Delivery:
    now = timezone.now()
    data = {**event.data, "event_id": event.pk, "service_name": event.service_name}
    return Delivery(
        kind=Delivery.Kind.EVENT,
        event_id=event.pk,
        subscription=subscription,
        service_name=event.service_name,
        topic=event.type,
        url=subscription.callback_url,
        receiver=receiver_of(subscription.callback_url),
        payload=standard.envelope(event.type, at=event.occurred_at, data=data),
        next_attempt_at=now,
        created_at=now,
    )
