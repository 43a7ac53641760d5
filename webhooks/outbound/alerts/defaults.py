"""Rules that Saga makes with the first channel, for staff to change, switch off or delete."""

from __future__ import annotations

from typing import Any

from webhooks.models import AlertCursor, NotificationRule, Severity
from webhooks.outbound.alerts import reading
from webhooks.outbound.notices import EVERY_CHANNEL

HOUR = 3_600
RULES: dict[str, dict[str, Any]] = {
    "deployments": {
        "name": "Deployments that fail",
        "event_types": ["deployment.failed", "deployment.rolled_back", "deployment.acknowledged"],
        "min_severity": Severity.ERROR,
        "group_seconds": 5,
    },
    "approvals": {
        "name": "Approvals that are awaited",
        "event_types": ["update.awaiting_approval"],
        "group_seconds": 5,
        "repeat_every_seconds": 24 * HOUR,
    },
    "services": {
        "name": "Services that stop or degrade",
        "event_types": [
            "service.expired",
            "service.degraded",
            "service.unreachable",
            "health.changed",
            "check.failed",
            "service.flapping",
        ],
        "min_severity": Severity.WARNING,
        "delay_seconds": 60,
        "group_seconds": 30,
    },
    "mass_expiry": {
        "name": "Mass expiry",
        "event_types": ["protection.began"],
        "group_seconds": 0,
        "repeat_every_seconds": 4 * HOUR,
    },
    "deliveries": {
        "name": "Deliveries that fail",
        "event_types": ["delivery.dead", "receiver.*"],
        "min_severity": Severity.WARNING,
        "group_seconds": 60,
    },
    "sources": {
        "name": "Sources that cannot be read",
        "event_types": ["update.check_failed"],
        "delay_seconds": 300,
        "group_seconds": 60,
    },
    "expiry_dates": {
        "name": "Tokens and certificates that end soon",
        "event_types": ["token.expires", "check.certificate_expires"],
        "group_seconds": 60,
    },
    "saga": {
        "name": "Saga itself",
        "event_types": ["saga.degraded", "saga.unhealthy"],
        "group_seconds": 0,
        "repeat_every_seconds": 4 * HOUR,
    },
}


def ensure() -> None:
    """Make the default rules once, in the caller's transaction."""
    reading.begin()
    first = AlertCursor.objects.filter(pk=1, has_default_rules=False)
    if not first.update(has_default_rules=True):
        return
    NotificationRule.objects.bulk_create(
        (
            NotificationRule(default_key=key, channels=[EVERY_CHANNEL], **fields)
            for key, fields in RULES.items()
        ),
        ignore_conflicts=True,
    )
