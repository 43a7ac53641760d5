"""Event constructors of webhooks, for ``registry.events``."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from registry.events import EventDraft
from webhooks import redaction
from webhooks.event_constructors import event_types

DELIVERY_DEAD = "delivery.dead"


def webhook_configured(name: str, *, channels: list[str], has_secret: bool) -> EventDraft:
    data: event_types.WebhookConfiguredData = {"channels": channels, "has_secret": has_secret}
    return EventDraft(type="webhook.configured", service_name=name, data=data)


def delivery_dead(
    name: str, *, delivery_id: uuid.UUID, topic: str, reason: str, attempts: int
) -> EventDraft:
    data: event_types.DeliveryDeadData = {
        "delivery_id": str(delivery_id),
        "topic": topic,
        "reason": reason,
        "attempts": attempts,
    }
    return EventDraft(type=DELIVERY_DEAD, service_name=name, data=data)


def flapping(name: str, *, instance_id: str, times: int, seconds: int) -> EventDraft:
    """It became unhealthy so often in so many seconds: single changes are not reported until it is steady."""
    data: event_types.FlappingData = {
        "instance_id": instance_id or None,
        "times": times,
        "seconds": seconds,
    }
    return EventDraft(type="service.flapping", service_name=name, data=data)


def steady(name: str, *, instance_id: str) -> EventDraft:
    data: event_types.SteadyData = {"instance_id": instance_id or None}
    return EventDraft(type="service.steady", service_name=name, data=data)


def receiver(moment: str, name: str, *, receiver: str, url: str, failures: int) -> EventDraft:
    """``receiver.paused``, ``.disabled`` or ``.resumed``; the URL is masked."""
    data: event_types.ReceiverData = {"receiver": receiver, "url": url, "failures": failures}
    return EventDraft(type=f"receiver.{moment}", service_name=name, data=data)


def lifecycle(name: str, *, event: str, details: dict[str, Any], at: dt.datetime) -> EventDraft:
    data: event_types.LifecycleData = {
        "details": redaction.without_secrets(details),
        "reported_at": at.isoformat(),
    }
    return EventDraft(type=f"lifecycle.{event}", service_name=name, data=data)
