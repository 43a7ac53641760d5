"""The registry's work in the background: expire, count misses, flush heartbeats, reconcile.

Every function may run twice, in two processes, and be killed at any line: what a sweep takes out of
presence waits in ``expiring`` until PostgreSQL knows.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from registry import events, idempotency, presence
from registry.background import protection
from registry.directory import projection
from registry.events import log
from registry.models import Instance, Service, ServiceQuerySet
from registry.operations import lifecycle
from saga_project.shared import locks, metrics, timestamps, transitions
from saga_project.shared.database import faults

logger = logging.getLogger(__name__)

CHUNK = 500


@dataclass(frozen=True)
class Sweep:
    """The result of one sweep."""

    expired: int
    suspects: int
    is_protecting: bool


@contextmanager
def _alone(lock: locks.Lock) -> Iterator[bool]:
    """Acquire the lock in a transaction; yields whether it was acquired."""
    with transaction.atomic(durable=True):
        yield locks.try_acquire(lock)


# --- Expiry ---------------------------------------------------------------------------------------


def sweep() -> Sweep:
    """Expire overdue instances, protect against mass expiry, finish what a killed sweep left."""
    with _alone(locks.Lock.EXPIRY_SWEEP) as is_mine:
        if not is_mine:
            return Sweep(0, 0, is_protecting=False)
        seen = presence.overdue()
        if not seen.is_anyone_receiving:
            protection.note(seen, [])
            return Sweep(0, len(seen.holds), is_protecting=False)
        held = protection.protected(seen)
        _hold(seen, held)
        presence.take_overdue(protection.choose(seen, held))
        taken = presence.expiring()
        _write_expired(taken)
        protection.note(seen, held)
    presence.forget_expiring(list(taken))
    metrics.expired_total.inc(len(taken))
    return Sweep(len(taken), len(seen.holds), is_protecting=bool(held))


def _hold(seen: presence.Overdue, held: Sequence[str]) -> None:
    """Keep suspects listed, tell of new ones, and release those that were heard again."""
    until = seen.now_us + int(protection.HOLD_SECONDS * 1_000_000)
    released = [member for member in seen.holds if member not in held]
    presence.hold(dict.fromkeys(held, until) | dict.fromkeys(released, 0))
    suspects = [member for member in held if member not in seen.holds]
    recovered = [member for member in released if member not in seen.due]
    for publish, members in (
        (events.service_suspect, suspects),
        (events.service_recovered, recovered),
    ):
        pairs = map(presence.split_member, members)
        events.publish(*(publish(name, instance_id=instance_id) for name, instance_id in pairs))


def _write_expired(taken: dict[str, int]) -> None:
    """Move the instances' rows, and publish one fact for each row that moved."""
    by_service: dict[str, dict[str, int]] = {}
    for member, beat_us in taken.items():
        name, instance_id = presence.split_member(member)
        by_service.setdefault(name, {})[instance_id] = beat_us
    keys = list(
        Service.objects.filter(name__in=by_service).order_by("pk").values_list("pk", flat=True)
    )
    for start in range(0, len(keys), CHUNK):
        _write_expired_of(keys[start : start + CHUNK], by_service)


def _write_expired_of(keys: list[int], by_service: dict[str, dict[str, int]]) -> None:
    """Expire instances of services, which are locked in primary-key order over all chunks."""
    services = Service.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    known = {service.pk: service for service in services.only(*projection.SERVICE_FIELDS)}
    beats = {pk: by_service[service.name] for pk, service in known.items()}
    moved = _expire_rows(beats, now=timezone.now())
    gone: dict[int, list[str]] = {}
    for pk, instance_id, _ in moved:
        gone.setdefault(pk, []).append(instance_id)
    events.publish(
        *(
            events.service_expired(
                known[pk].name, instance_id=instance_id, last_heartbeat_at=timestamps.iso(beat_at)
            )
            for pk, instance_id, beat_at in moved
        )
    )
    _show([known[pk] for pk in gone], gone)


def _expire_rows(
    beats: dict[int, dict[str, int]], *, now: dt.datetime
) -> list[tuple[int, str, dt.datetime]]:
    """Return service, instance id and last heartbeat of each live row that is expired now.

    An instance that was registered again after its last heartbeat ran out stays.
    """
    members = [(pk, each, at_us) for pk, those in beats.items() for each, at_us in those.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            _EXPIRE,
            [
                Instance.State.EXPIRED,
                now,
                [pk for pk, _, _ in members],
                [instance_id for _, instance_id, _ in members],
                [timestamps.at(beat_us) for _, _, beat_us in members],
                transitions.sources(Instance, Instance.State.EXPIRED),
            ],
        )
        return list(cursor.fetchall())


_EXPIRE = """
UPDATE registry_instance AS instance
   SET state = %s, gone_at = %s, last_heartbeat_at = beat.at
  FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS beat (service_id, instance_id, at)
 WHERE instance.service_id = beat.service_id
   AND instance.instance_id = beat.instance_id
   AND instance.state = ANY(%s)
   AND instance.registered_at <= beat.at + instance.ttl_seconds * interval '1 second'
RETURNING instance.service_id, instance.instance_id, beat.at
"""


def _show(services: Sequence[Service], gone: dict[int, list[str]]) -> None:
    Service.objects.filter(pk__in=gone).update(revision=F("revision") + 1)
    for service in services:
        service.revision += 1  # its row is locked
    projection.schedule_all(services, dropped=gone)


# --- Misses, as ScaiControl counts them -----------------------------------------------------------


def count_misses() -> int:
    """Give each silent service one miss more, and return how many were silent.

    At the thresholds it is degraded, then unreachable; a heartbeat brings it back.
    """
    flush_heartbeats()
    with _alone(locks.Lock.MISSED_HEARTBEATS) as is_mine:
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
    facts: list[events.Fact] = []
    for service in services:
        service.consecutive_misses += 1
        facts += _judge_misses(service)
    _save(services, now=now)
    events.publish(*facts)


def _judge_misses(service: Service) -> Iterator[events.Fact]:
    misses = service.consecutive_misses
    is_degraded = misses >= settings.REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD
    is_unreachable = misses >= settings.REGISTRY_HEARTBEAT_UNREACHABLE_THRESHOLD
    if is_degraded and lifecycle.degrade(service):
        yield events.service_degraded(service.name, misses=misses)
    if is_unreachable and service.health_status != Service.Health.UNREACHABLE:
        service.health_status = Service.Health.UNREACHABLE
        yield events.service_unreachable(service.name, misses=misses)


def _save(services: Sequence[Service], *, now: dt.datetime) -> None:
    """Write the new health of services with locked rows in one statement, and publish it."""
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            [
                now,
                [service.pk for service in services],
                [service.consecutive_misses for service in services],
                [service.status for service in services],
                [service.health_status for service in services],
            ],
        )
    for service in services:
        service.revision += 1
    projection.schedule_all(services)


_COUNT = """
UPDATE registry_service AS service
   SET consecutive_misses = counted.misses, status = counted.status, health_status = counted.health,
       revision = service.revision + 1, updated_at = %s
  FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::text[]) AS counted (id, misses, status, health)
 WHERE service.id = counted.id
"""


# --- Flushing heartbeats --------------------------------------------------------------------------


class _Flushed:
    """Up to when, on Redis' clock, this process has flushed every heartbeat."""

    until_us = 0

    def note(self, until_us: int) -> None:
        self.until_us = until_us


_flushed = _Flushed()


def flush_heartbeats() -> int:
    """Write heartbeats since the last flush to PostgreSQL in bulk; return how many instances had a newer one.

    A service that had missed some and was heard again is whole again.
    """
    beats, now_us = presence.heartbeats(since_us=_flushed.until_us)
    if now_us < _flushed.until_us:  # another Redis with a clock that is behind
        beats, now_us = presence.heartbeats()
    count = 0
    if beats:
        skew_us = presence.skew_us(now_us)
        count = _flush({member: beat_us + skew_us for member, beat_us in beats.items()})
    transaction.on_commit(functools.partial(_flushed.note, now_us))
    _recover()
    return count


@faults.retry_conflict
def _flush(beats: dict[str, int]) -> int:
    """Write the heartbeats in one transaction: the services are locked before their instances."""
    members = [presence.split_member(member) for member in beats]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted({name for name, _ in members})])
        cursor.execute(
            _FLUSH,
            [
                [name for name, _ in members],
                [instance_id for _, instance_id in members],
                [timestamps.at(beat_us) for beat_us in beats.values()],
            ],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


_LOCK = """
SELECT 1 FROM registry_service WHERE name = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_FLUSH = """
WITH beat AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS beat (name, instance_id, at)
), moved AS (
    UPDATE registry_instance AS instance
       SET last_heartbeat_at = beat.at
      FROM beat JOIN registry_service AS service ON service.name = beat.name
     WHERE instance.service_id = service.id
       AND instance.instance_id = beat.instance_id
       AND instance.last_heartbeat_at < beat.at
 RETURNING instance.service_id, beat.at
), newest AS (
    UPDATE registry_service AS service
       SET last_heartbeat_at = heard.at
      FROM (SELECT service_id, max(at) AS at FROM moved GROUP BY service_id) AS heard
     WHERE service.id = heard.service_id
       AND (service.last_heartbeat_at IS NULL OR service.last_heartbeat_at < heard.at)
)
SELECT count(*) FROM moved
"""


@faults.retry_conflict
@transaction.atomic
def _recover() -> None:
    now = timezone.now()
    interval = settings.REGISTRY_HEARTBEAT_GRACE_MULTIPLIER * F("heartbeat_interval_seconds")
    heard = (
        Service.objects.approved()
        .filter(Q(consecutive_misses__gt=0))
        .annotate(silence=now - F("last_heartbeat_at"))
        .filter(silence__lte=interval * dt.timedelta(seconds=1))
        .only(*projection.SERVICE_FIELDS)
        .order_by("pk")
        .select_for_update()
    )
    while some := list(heard[:CHUNK]):
        facts: list[events.Fact] = []
        for service in some:
            if lifecycle.recover(service, health=Service.Health.HEALTHY):
                facts.append(events.service_recovered(service.name))
            service.consecutive_misses = 0
        _save(some, now=now)
        events.publish(*facts)


# --- Reconciling and tidying up -------------------------------------------------------------------


def reconcile(*, within: dt.timedelta = dt.timedelta(minutes=2)) -> int:
    """Show again what changed lately: a process that was killed between commit and Redis left it unseen."""
    presence.ensure_filled(projection.refill)
    return projection.refill(changed_since=timezone.now() - within)


def purge_idempotency_keys() -> int:
    return idempotency.purge(now=timezone.now())


def purge_events() -> int:
    kept = dt.timedelta(days=settings.SAGA_EVENT_RETENTION_DAYS)
    deleted = log.purge(before=timezone.now() - kept)
    if deleted:
        logger.info("old events purged", extra={"count": deleted})
    return deleted
