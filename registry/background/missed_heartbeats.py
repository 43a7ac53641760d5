"""Count the missed heartbeats of services, as ScaiControl does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from registry import events
from registry.background import flush, service_health
from registry.directory import projection
from registry.models import Service, ServiceQuerySet
from registry.operations import lifecycle
from saga_project.shared import locks

CHUNK = 500


def count_misses() -> int:
    """Give each silent service one miss more, and return how many were silent.

    At the thresholds it is degraded, then unreachable; a heartbeat brings it back.
    """
    flush.flush_heartbeats()
    with locks.alone(locks.Lock.MISSED_HEARTBEATS) as is_mine:
        if not is_mine:
            return 0
        now = timezone.now()
        count = last = 0
        while some := list(_silent(now).filter(pk__gt=last).select_for_update()[:CHUNK]):
            _add_miss(some, now=now)
            count += len(some)
            last = some[-1].pk
    return count


def _silent(now: dt.datetime) -> ServiceQuerySet:
    interval = settings.REGISTRY_HEARTBEAT_GRACE_MULTIPLIER * F("heartbeat_interval_seconds")
    return (
        Service.objects.approved()
        .annotate(silence=now - F("last_heartbeat_at"))
        .filter(silence__gt=interval * dt.timedelta(seconds=1))
        .only(*projection.SERVICE_FIELDS)
        .order_by("pk")
    )


def _add_miss(services: Sequence[Service], *, now: dt.datetime) -> None:
    """Count one miss for services with locked rows, and publish the resulting changes."""
    drafts: list[events.EventDraft] = []
    for service in services:
        service.consecutive_misses += 1
        drafts += _evaluate_misses(service)
    service_health.save(services, now=now)
    events.publish(*drafts)


def _evaluate_misses(service: Service) -> Iterator[events.EventDraft]:
    misses = service.consecutive_misses
    is_degraded = misses >= settings.REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD
    is_unreachable = misses >= settings.REGISTRY_HEARTBEAT_UNREACHABLE_THRESHOLD
    if is_degraded and lifecycle.degrade(service):
        yield events.service_degraded(service.name, misses=misses)
    if is_unreachable and service.health_status != Service.Health.UNREACHABLE:
        service.health_status = Service.Health.UNREACHABLE
        yield events.service_unreachable(service.name, misses=misses)
