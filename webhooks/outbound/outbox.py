"""An event becomes deliveries in the transaction that publishes it: both are committed, or neither."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any, TypedDict

from django.conf import settings
from django.db.models import Q
from django.dispatch import receiver
from django.utils import timezone

from registry.events import published
from registry.identity import account_scopes
from registry.models import Event, Subscription
from saga_project.shared import wakeups
from webhooks.models import Delivery, receiver_of
from webhooks.outbound.channels import standard


class EventReference(TypedDict):
    """Stands in each message beside the data of its event."""

    event_id: int
    service_name: str


READ_SCOPE = "services:read"


@receiver(published, dispatch_uid="webhooks.enqueue")
def enqueue(events: Sequence[Event], **_: Any) -> None:
    named = Q(service__name__in={event.service_name for event in events})
    subscriptions = (
        Subscription.objects.filter(named | Q(service=None), state=Subscription.State.ACTIVE)
        .exclude(callback_url="")
        .select_related("service", "account__person")
    )
    rows: list[Delivery] = []
    for subscription in subscriptions:
        wanted = [
            event
            for event in events
            if subscription.covers(event.service_name) and matches(subscription, event.type)
        ]
        if wanted and _may_read(subscription):
            rows += [_delivery(event, subscription) for event in wanted]
    if rows:
        Delivery.objects.bulk_create(rows)
        wakeups.wake("webhooks.deliver")


def _may_read(subscription: Subscription) -> bool:
    """Return whether a pattern's subscriber may still read every service, as it would by a stream."""
    if subscription.service is not None:
        return True
    if subscription.account is None:
        return bool(settings.SAGA_AUTH == "open")
    return account_scopes.may_have(subscription.account, READ_SCOPE)


def matches(subscription: Subscription, kind: str) -> bool:
    """Return whether a subscription covers events of this type; without topics it covers all."""
    topics = subscription.topics or ["*"]
    return any(fnmatch.fnmatchcase(kind, topic) for topic in topics)


def _delivery(event: Event, subscription: Subscription) -> Delivery:
    now = timezone.now()
    reference: EventReference = {"event_id": event.pk, "service_name": event.service_name}
    return Delivery(
        kind=Delivery.Kind.EVENT,
        event_id=event.pk,
        subscription=subscription,
        service_name=event.service_name,
        topic=event.type,
        url=subscription.callback_url,
        receiver=receiver_of(subscription.callback_url),
        payload=standard.envelope(
            event.type, at=event.occurred_at, data={**event.data, **reference}
        ),
        next_attempt_at=now,
        created_at=now,
    )
