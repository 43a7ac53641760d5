"""The rows of a service that is being changed, and what every change to them does."""

from __future__ import annotations

import datetime as dt

from django.db.models import F

from registry import errors, events
from registry.models import Instance, Service

DEFAULT_INSTANCE = "default"
HEALTH_OF_REPORT = {
    "healthy": (Service.Health.HEALTHY, Instance.Health.PASSING),
    "degraded": (Service.Health.DEGRADED, Instance.Health.WARNING),
    # It speaks, so it can be reached, however ill it is.
    "unhealthy": (Service.Health.DEGRADED, Instance.Health.CRITICAL),
}


def locked(name: str) -> Service:
    """Return the locked row of a registered service; raises ServiceNotFound."""
    rows = Service.objects.registered().select_for_update(no_key=True)
    service = rows.filter(name=name).first()
    if service is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return service


def save_change(service: Service, *, now: dt.datetime) -> None:
    service.updated_at = now
    service.revision = F("revision") + 1
    service.save()
    service.refresh_from_db(fields=["revision"])


def note_version(service: Service, version: str, *, instance_id: str | None = None) -> None:
    """Record a new version on the locked service, and publish the change where an old one was known."""
    if service.version == version:
        return
    if service.version:
        service.previous_version = service.version
        events.publish(
            events.service_version_changed(
                service.name, old=service.version, new=version, instance_id=instance_id
            )
        )
    service.version = version


def send_replaced(service: Service, *, now: dt.datetime) -> None:
    """Notify the receivers that an instance of the service runs another version than before."""
    events.instance_replaced.send(sender=Instance, service_name=service.name, at=now)


def set_version(service: Service, instance: Instance, version: str) -> None:
    instance.version = version
    note_version(service, version, instance_id=instance.instance_id)


def set_health(service: Service, instance: Instance, health: str, *, note: str) -> None:
    """Set what the instance reports, and publish a change of its health."""
    before, instance.health = instance.combined_health, health
    events.publish(*health_drafts(service, instance, before=before, note=note))


def health_drafts(
    service: Service, instance: Instance, *, before: str, note: str
) -> list[events.EventDraft]:
    """Return the event of the change of an instance's health; empty where it is still ``before``."""
    if instance.combined_health == before:
        return []
    return [
        events.health_changed(
            service.name,
            instance_id=instance.instance_id,
            old=before,
            new=instance.combined_health,
            note=note,
        )
    ]
