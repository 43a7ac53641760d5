"""The readers' view of a service, projected from PostgreSQL into Redis on commit."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction

from registry import directory, presence
from registry.directory import entries
from registry.models import Instance, Service
from saga_project.shared import timestamps

REFILL_BATCH = 500
#: The columns of a service's document: a third of its row, for readers of many services.
SERVICE_FIELDS = (
    *("name", "service_id", "status", "health_status", "consecutive_misses", "version"),
    *(
        "heartbeat_interval_seconds",
        "account",
        "canary_version",
        "canary_percent",
        "revision",
        "labels",
        "maintenance_since",
    ),
)


def instance_document(instance: Instance) -> dict[str, Any]:
    return {
        **{name: getattr(instance, name) for name in entries.AS_IN_ROWS},
        "health": instance.combined_health,
        "is_draining": instance.is_left_out,
        **({} if instance.check_health == "passing" else {"reported_health": instance.health}),
        "registered_at": timestamps.iso(instance.registered_at),
        "ttl": instance.ttl_seconds,
    }


def service_document(service: Service, instances: Iterable[Instance]) -> dict[str, Any]:
    return {
        "name": service.name,
        "service_id": str(service.service_id),
        "status": service.status,
        "health_status": service.health_status,
        "misses": service.consecutive_misses,
        "version": service.version,
        "interval": service.heartbeat_interval_seconds,
        "account_id": service.account_id,
        "canary": [service.canary_version, service.canary_percent]
        if service.canary_version
        else None,
        "revision": service.revision,
        **({"labels": service.labels} if service.labels else {}),
        **({"is_in_maintenance": True} if service.maintenance_since else {}),
        "instances": [instance_document(instance) for instance in instances],
    }


def schedule(
    service: Service,
    *,
    renewed: Iterable[tuple[str, int]] = (),
    dropped: Iterable[str] = (),
    is_robust: bool = False,
) -> None:
    """Show the service to readers as it stands now, once the surrounding transaction commits.

    ``renewed`` are (instance id, TTL in seconds) that just sent a heartbeat; ``dropped`` have deregistered.
    ``is_robust``: without Redis nothing is raised, and readers see the change once it is back.
    """
    instances = list(service.instances.live())
    change = _change(service, instances, renewed=list(renewed), dropped=list(dropped))
    transaction.on_commit(functools.partial(_show_all, [change]), robust=is_robust)


def schedule_all(
    services: Sequence[Service], *, dropped: Mapping[int, Sequence[str]] | None = None
) -> None:
    """The same for many services in one query, by their primary keys."""
    left = dropped or {}
    live: dict[int, list[Instance]] = {}
    for instance in Instance.objects.live().filter(service__in=services):
        live.setdefault(instance.service_id, []).append(instance)
    changes = [
        _change(service, live.get(service.pk, []), dropped=left.get(service.pk, ()))
        for service in services
    ]
    transaction.on_commit(functools.partial(_show_all, changes))


def _change(
    service: Service,
    instances: Sequence[Instance],
    *,
    renewed: Sequence[tuple[str, int]] = (),
    dropped: Sequence[str] = (),
) -> presence.Change:
    is_shown = instances and service.status != Service.Status.DEREGISTERED
    return presence.Change(
        service.name,
        revision=service.revision,
        document=service_document(service, instances) if is_shown else None,
        renewed=renewed,
        dropped=dropped,
    )


def show_new(instances: Sequence[Instance]) -> None:
    """Show services that have just appeared with one instance each, all of them in one trip."""
    _show_all(
        [
            _change(
                instance.service,
                [instance],
                renewed=[(instance.instance_id, instance.ttl_seconds)],
            )
            for instance in instances
        ]
    )


def _show_all(changes: Sequence[presence.Change]) -> None:
    """Write the changes, and return when this process' own readers see them."""
    directory.wait_for(presence.put_all(changes))


def refill(*, changed_since: dt.datetime | None = None) -> int:
    """Show every service again as PostgreSQL holds it; return how many.

    With ``changed_since``, only those that changed lately and have an older revision in Redis. A service that
    Redis knows keeps its deadline; an unknown one gets the last deadline that was flushed;
    one that is not live any more is dropped. Safe to run at any time, and twice.
    """
    services = Service.objects.all()
    if changed_since is not None:
        services = services.filter(pk__in=_not_shown(changed_since))
    count = 0
    rows = services.prefetch_related("instances").iterator(chunk_size=REFILL_BATCH)
    while batch := list(itertools.islice(rows, REFILL_BATCH)):
        presence.put_all([_refilling(service) for service in batch])
        count += len(batch)
    return count


def _not_shown(changed_since: dt.datetime) -> list[int]:
    """Return the primary keys of services of which Redis has an older revision, or none."""
    changed = Service.objects.filter(updated_at__gte=changed_since)
    rows = list(changed.values_list("pk", "name", "revision"))
    shown = presence.revisions([name for _, name, _ in rows])
    return [key for (key, _, revision), known in zip(rows, shown, strict=True) if known < revision]


def _refilling(service: Service) -> presence.Change:
    rows = list(service.instances.all())
    live = [row for row in rows if row.state == Instance.State.LIVE]
    is_shown = live and service.status != Service.Status.DEREGISTERED
    return presence.Change(
        service.name,
        revision=service.revision,
        document=service_document(service, live) if is_shown else None,
        known=[(row.instance_id, row.ttl_seconds, _deadline_us(row)) for row in live],
        dropped=[row.instance_id for row in rows if row.state != Instance.State.LIVE],
    )


def _deadline_us(instance: Instance) -> int:
    return timestamps.microseconds(instance.last_heartbeat_at) + instance.ttl_seconds * 1_000_000
