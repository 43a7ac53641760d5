"""Event constructors of webhooks, for ``registry.events``."""

from webhooks.event_constructors.constructors import (
    DELIVERY_DEAD,
    delivery_dead,
    flapping,
    lifecycle,
    receiver,
    steady,
    webhook_configured,
)
from webhooks.event_constructors.event_types import LIFECYCLE_EVENTS

__all__ = [
    "DELIVERY_DEAD",
    "LIFECYCLE_EVENTS",
    "delivery_dead",
    "flapping",
    "lifecycle",
    "receiver",
    "steady",
    "webhook_configured",
]
