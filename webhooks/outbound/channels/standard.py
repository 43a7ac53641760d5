"""Standard Webhooks payloads: https://github.com/standard-webhooks/standard-webhooks"""

from __future__ import annotations

import datetime as dt
from typing import Any, TypedDict

from webhooks.outbound.channels.notification import Notification

TYPE = "notification"


class _AlwaysPresent(TypedDict):
    service_name: str
    message: str
    severity: str


class NotificationData(_AlwaysPresent, total=False):
    """The message; the details of its subject stand beside it."""

    link: str


def render(notification: Notification) -> dict[str, Any]:
    data: NotificationData = {
        "service_name": notification.service_name,
        "message": notification.message,
        "severity": notification.severity,
    }
    if notification.link:
        data["link"] = notification.link
    return envelope(TYPE, at=notification.created_at, data={**data, **notification.details})


def envelope(kind: str, *, at: dt.datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "timestamp": at.astimezone(dt.UTC).isoformat(), "data": data}
