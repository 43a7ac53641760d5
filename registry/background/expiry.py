"""Expire overdue instances.

The sweep may run twice, in two processes, and be killed at any line: an instance that it removes from
presence waits in ``expiring`` until PostgreSQL knows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import F
from django.utils import timezone

from registry import events, presence
from registry.background import protection
from registry.directory import projection
from registry.models import Instance, Service
from saga_project.shared import locks, metrics, timestamps, transitions

CHUNK = 500


@dataclass(frozen=True)
class Sweep:
    """The result of one sweep."""

    expired: int
    suspects: int
    is_protecting: bool


def sweep() -> Sweep:
    """Expire overdue instances, protect against mass expiry, finish what a killed sweep left.

    Most sweeps find nothing to do; these ask PostgreSQL nothing.
    """
    seen = presence.overdue()
    if seen.is_quiet:
        protection.note(seen, [])
        return Sweep(0, 0, is_protecting=False)
    with locks.alone(locks.Lock.EXPIRY_SWEEP) as is_mine:
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
        _write_expired(taken, grace_floor=timestamps.at(seen.floor_us))
        _publish_protection(seen, held)
        protection.note(seen, held)
    presence.forget_expiring(list(taken))
    metrics.expired_total.inc(len(taken))
    return Sweep(len(taken), len(seen.holds), is_protecting=bool(held))


def _publish_protection(seen: presence.Overdue, held: Sequence[str]) -> None:
    """Publish that protection against mass expiry begins or ends."""
    was_protecting = bool((protection.state() or {}).get("is_protecting"))
    if held and not was_protecting:
        events.publish(events.protection_began(suspects=len(held), instances=seen.total))
    elif was_protecting and not held:
        events.publish(events.protection_ended(instances=seen.total))


def _hold(seen: presence.Overdue, held: Sequence[str]) -> None:
    """Keep suspects listed, report new ones, and release those that sent a heartbeat again."""
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


def _write_expired(taken: dict[str, int], *, grace_floor: dt.datetime) -> None:
    """Move the instances' rows, and publish one event for each row that changed."""
    by_service: dict[str, dict[str, int]] = {}
    for member, heartbeat_us in taken.items():
        name, instance_id = presence.split_member(member)
        by_service.setdefault(name, {})[instance_id] = heartbeat_us
    keys = list(
        Service.objects.filter(name__in=by_service).order_by("pk").values_list("pk", flat=True)
    )
    for start in range(0, len(keys), CHUNK):
        _write_expired_of(keys[start : start + CHUNK], by_service, grace_floor=grace_floor)


def _write_expired_of(
    keys: list[int], by_service: dict[str, dict[str, int]], *, grace_floor: dt.datetime
) -> None:
    """Expire instances of services, which are locked in primary-key order over all chunks."""
    services = Service.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    known = {service.pk: service for service in services.only(*projection.SERVICE_FIELDS)}
    times = {pk: by_service[service.name] for pk, service in known.items()}
    moved = _expire_rows(times, grace_floor=grace_floor, now=timezone.now())
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
    times: dict[int, dict[str, int]], *, grace_floor: dt.datetime, now: dt.datetime
) -> list[tuple[int, str, dt.datetime]]:
    """Return service, instance id and last heartbeat of each live row that is expired now.

    An instance that was registered again after its last heartbeat ran out stays. One that was registered
    before the grace floor has been silent since; where Redis' clock was set, its last heartbeat is misdated.
    """
    members = [(pk, each, at_us) for pk, those in times.items() for each, at_us in those.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            _EXPIRE,
            [
                Instance.State.EXPIRED,
                now,
                [pk for pk, _, _ in members],
                [instance_id for _, instance_id, _ in members],
                [timestamps.at(heartbeat_us) for _, _, heartbeat_us in members],
                transitions.sources(Instance, Instance.State.EXPIRED),
                grace_floor,
            ],
        )
        return list(cursor.fetchall())


_EXPIRE = """
UPDATE registry_instance AS instance
   SET state = %s, gone_at = %s, last_heartbeat_at = heartbeat.at
  FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS heartbeat (service_id, instance_id, at)
 WHERE instance.service_id = heartbeat.service_id
   AND instance.instance_id = heartbeat.instance_id
   AND instance.state = ANY(%s)
   AND instance.registered_at
       <= greatest(heartbeat.at + instance.ttl_seconds * interval '1 second', %s::timestamptz)
RETURNING instance.service_id, instance.instance_id, heartbeat.at
"""


def _show(services: Sequence[Service], gone: dict[int, list[str]]) -> None:
    Service.objects.filter(pk__in=gone).update(revision=F("revision") + 1)
    for service in services:
        service.revision += 1  # its row is locked
    projection.schedule_all(services, dropped=gone)
