"""What others configured for a service is dropped when an account takes it over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from registry import events as registry_events
from registry.events import published
from registry.models import Event
from saga_project.shared import transitions
from webhooks import event_constructors
from webhooks.models import Configuration, Delivery, NotificationRule

TAKEN_OVER = "service.taken_over"


@receiver(published, dispatch_uid="webhooks.drop_configuration")
def drop_configurations(events: Sequence[Event], **_: Any) -> None:
    """Drop what others configured for a service that an account takes over."""
    for event in events:
        if event.type == TAKEN_OVER:
            _drop(event.service_name)


def _drop(service_name: str) -> None:
    NotificationRule.objects.filter(service__name=service_name).delete()
    configurations = Configuration.objects.select_for_update(of=("self",))
    configuration = configurations.filter(service__name=service_name).first()
    if configuration is None:
        return
    waiting = Delivery.objects.filter(
        status=Delivery.Status.PENDING, endpoint__configuration=configuration
    )
    transitions.move_rows(
        waiting,
        Delivery.Status.DEAD,
        reason="An account took the service over; its earlier channels were dropped.",
        finished_at=timezone.now(),
    )
    configuration.delete()
    registry_events.publish(
        event_constructors.webhook_configured(service_name, channels=[], has_secret=False)
    )
