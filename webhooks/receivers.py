"""An event becomes deliveries in the transaction that published it: both are told, or neither."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from registry import events as registry_events
from registry.events import published
from registry.models import Event, Subscription
from saga_project.shared import wakeups
from webhooks import event_constructors
from webhooks.models import Configuration, Delivery, receiver_of
from webhooks.outbound.channels import standard

TAKEN_OVER = "service.taken_over"


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


@receiver(published, dispatch_uid="webhooks.drop_configuration")
def drop_configurations(events: Sequence[Event], **_: Any) -> None:
    """Drop what others configured for a service that an account takes over."""
    for event in events:
        if event.type == TAKEN_OVER:
            _drop(event.service_name)


def _drop(service_name: str) -> None:
    configurations = Configuration.objects.select_for_update(of=("self",))
    configuration = configurations.filter(service__name=service_name).first()
    if configuration is None:
        return
    Delivery.objects.filter(
        status=Delivery.Status.PENDING, endpoint__configuration=configuration
    ).update(
        status=Delivery.Status.DEAD,
        reason="An account took the service over; its earlier channels were dropped.",
        finished_at=timezone.now(),
    )
    configuration.delete()
    registry_events.publish(
        event_constructors.webhook_configured(service_name, channels=[], has_secret=False)
    )


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
