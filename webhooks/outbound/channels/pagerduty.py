"""PagerDuty's Events API v2: https://developer.pagerduty.com/docs/send-alert-event

The routing key is the channel's secret: it is added when the message is sent, and kept in no delivery.
"""

from __future__ import annotations

from typing import Any

from webhooks.outbound.channels.notification import Notification, cut

URL = "https://events.pagerduty.com/v2/enqueue"
MAX_SUMMARY = 1_024
ACTIONS = {"resolved": "resolve", "acknowledged": "acknowledge"}


def render(notification: Notification) -> dict[str, Any]:
    """One event for one problem; its end has the same key, so that PagerDuty resolves the incident."""
    payload: dict[str, Any] = {
        "event_action": ACTIONS.get(str(notification.details.get("state")), "trigger"),
        "payload": {
            "summary": cut(notification.line, MAX_SUMMARY),
            "source": notification.service_name or "saga",
            "severity": notification.severity,
            "timestamp": notification.created_at.isoformat(),
            "component": notification.service_name or "saga",
            "custom_details": {"rule": notification.details.get("rule", "")},
        },
        "client": "Saga",
    }
    if notification.key:
        payload["dedup_key"] = notification.key
    if notification.link:
        payload |= {
            "client_url": notification.link,
            "links": [{"href": notification.link, "text": "Open in Saga"}],
        }
    return payload
