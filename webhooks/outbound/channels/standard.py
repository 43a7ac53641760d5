"""Standard Webhooks payloads: https://github.com/standard-webhooks/standard-webhooks"""

from __future__ import annotations

import datetime as dt
from typing import Any

from webhooks.outbound.channels.notification import Notification


def render(notification: Notification) -> dict[str, Any]:
    data: dict[str, Any] = {
        "service_name": notification.service_name,
        "message": notification.message,
        "severity": notification.severity,
    }
    if notification.link:
        data["link"] = notification.link
    data |= notification.details
    return envelope("notification", at=notification.created_at, data=data)


def envelope(kind: str, *, at: dt.datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "timestamp": at.astimezone(dt.UTC).isoformat(), "data": data}
