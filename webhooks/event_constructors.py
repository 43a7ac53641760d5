"""Event constructors of webhooks, for ``registry.events``."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from registry.events import EventDraft
from webhooks import redaction

DELIVERY_DEAD = "delivery.dead"


def webhook_configured(name: str, *, channels: list[str], has_secret: bool) -> EventDraft:
    data: dict[str, Any] = {"channels": channels, "has_secret": has_secret}
    return EventDraft(type="webhook.configured", service_name=name, data=data)


def delivery_dead(
    name: str, *, delivery_id: uuid.UUID, topic: str, reason: str, attempts: int
) -> EventDraft:
    data = {
        "delivery_id": str(delivery_id),
        "topic": topic,
        "reason": reason,
        "attempts": attempts,
    }
    return EventDraft(type=DELIVERY_DEAD, service_name=name, data=data)


def lifecycle(name: str, *, event: str, details: dict[str, Any], at: dt.datetime) -> EventDraft:
    data = {"details": redaction.without_secrets(details), "reported_at": at.isoformat()}
    return EventDraft(type=f"lifecycle.{event}", service_name=name, data=data)
