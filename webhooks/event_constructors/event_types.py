"""The types of events about webhooks: the shape of their data."""

from __future__ import annotations

from typing import Any, TypedDict

from registry.events.event_types import EventType

LIFECYCLE_EVENTS = (
    "starting",
    "started",
    "stopping",
    "stopped",
    "restarting",
    "restarted",
    "crashed",
    "deployed",
)


class WebhookConfiguredData(TypedDict):
    channels: list[str]
    has_secret: bool


class DeliveryDeadData(TypedDict):
    delivery_id: str
    topic: str
    reason: str
    attempts: int


class FlappingData(TypedDict):
    instance_id: str | None
    times: int
    seconds: int


class SteadyData(TypedDict):
    instance_id: str | None


class ReceiverData(TypedDict):
    receiver: str
    url: str
    failures: int


class LifecycleData(TypedDict):
    details: dict[str, Any]
    reported_at: str


TYPES = (
    EventType("service.flapping", FlappingData, "An instance became ill again and again."),
    EventType("service.steady", SteadyData, "An instance does not flap any more."),
    *(
        EventType(f"lifecycle.{event}", LifecycleData, f"A service reports of itself: {event}.")
        for event in LIFECYCLE_EVENTS
    ),
    EventType("webhook.configured", WebhookConfiguredData, "Channels or the secret changed."),
    EventType("delivery.dead", DeliveryDeadData, "A delivery was given up."),
    EventType("receiver.paused", ReceiverData, "A receiver keeps failing and is probed."),
    EventType("receiver.disabled", ReceiverData, "A receiver is not called any more."),
    EventType("receiver.resumed", ReceiverData, "A receiver is called again."),
)
