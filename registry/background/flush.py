"""Write the times of heartbeats from presence to PostgreSQL."""

from __future__ import annotations

import datetime as dt
import functools

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from registry import events, presence
from registry.background import service_health
from registry.directory import projection
from registry.models import Service
from registry.operations import lifecycle
from saga_project.shared import timestamps
from saga_project.shared.database import faults

CHUNK = 500


class _Flushed:
    """Up to when, on Redis' clock, this process has flushed every heartbeat."""

    until_us = 0

    def note(self, until_us: int) -> None:
        self.until_us = until_us


_flushed = _Flushed()


def flush_heartbeats() -> int:
    """Write heartbeats since the last flush to PostgreSQL in bulk; return how many instances had a newer one.

    A service that had missed some and sent one again counts no misses any more.
    """
    times, now_us = presence.heartbeats(since_us=_flushed.until_us)
    if now_us < _flushed.until_us:  # another Redis with a clock that is behind
        times, now_us = presence.heartbeats()
    count = 0
    if times:
        skew_us = presence.skew_us(now_us)
        count = _flush({member: heartbeat_us + skew_us for member, heartbeat_us in times.items()})
    transaction.on_commit(functools.partial(_flushed.note, now_us))
    if _has_any_recovered():
        _recover()
    return count


@faults.retry_conflict
def _flush(times: dict[str, int]) -> int:
    """Write the heartbeats in one transaction: the services are locked before their instances."""
    members = [presence.split_member(member) for member in times]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted({name for name, _ in members})])
        cursor.execute(
            _FLUSH,
            [
                [name for name, _ in members],
                [instance_id for _, instance_id in members],
                [timestamps.at(heartbeat_us) for heartbeat_us in times.values()],
            ],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


_LOCK = """
SELECT 1 FROM registry_service WHERE name = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_FLUSH = """
WITH heartbeat AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS heartbeat (name, instance_id, at)
), moved AS (
    UPDATE registry_instance AS instance
       SET last_heartbeat_at = heartbeat.at
      FROM heartbeat JOIN registry_service AS service ON service.name = heartbeat.name
     WHERE instance.service_id = service.id
       AND instance.instance_id = heartbeat.instance_id
       AND instance.last_heartbeat_at < heartbeat.at
 RETURNING instance.service_id, heartbeat.at
), newest AS (
    UPDATE registry_service AS service
       SET last_heartbeat_at = latest.at
      FROM (SELECT service_id, max(at) AS at FROM moved GROUP BY service_id) AS latest
     WHERE service.id = latest.service_id
       AND (service.last_heartbeat_at IS NULL OR service.last_heartbeat_at < latest.at)
)
SELECT count(*) FROM moved
"""


def _has_any_recovered() -> bool:
    """Whether there may be anything to recover, at the price of one small query."""
    with connection.cursor() as cursor:
        cursor.execute(_RECOVERED, [timezone.now(), settings.REGISTRY_HEARTBEAT_GRACE_MULTIPLIER])
        return cursor.fetchone() is not None


_RECOVERED = """
SELECT 1 FROM registry_service
 WHERE consecutive_misses > 0
   AND last_heartbeat_at >= %s - heartbeat_interval_seconds * %s * interval '1 second'
 LIMIT 1
"""


@faults.retry_conflict
@transaction.atomic
def _recover() -> None:
    now = timezone.now()
    interval = settings.REGISTRY_HEARTBEAT_GRACE_MULTIPLIER * F("heartbeat_interval_seconds")
    received = (
        Service.objects.approved()
        .filter(Q(consecutive_misses__gt=0))
        .annotate(silence=now - F("last_heartbeat_at"))
        .filter(silence__lte=interval * dt.timedelta(seconds=1))
        .only(*projection.SERVICE_FIELDS)
        .order_by("pk")
        .select_for_update()
    )
    while some := list(received[:CHUNK]):
        drafts: list[events.EventDraft] = []
        for service in some:
            if lifecycle.recover(service, health=Service.Health.HEALTHY):
                drafts.append(events.service_recovered(service.name))
            service.consecutive_misses = 0
        service_health.save(some, now=now)
        events.publish(*drafts)
