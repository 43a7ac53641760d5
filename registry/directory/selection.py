"""Which of a service's instances a caller is sent to."""

from __future__ import annotations

import random

from registry.directory import memory
from registry.directory.entries import InstanceEntry, ServiceEntry
from registry.models import Instance


def serving(entry: ServiceEntry, *, live: list[InstanceEntry] | None = None) -> list[InstanceEntry]:
    """Return the live instances that a caller should be sent to, best first group only.

    Passing ones that are not drained; if there are none, the others. ``live`` holds the live instances
    if the caller knows them already.
    """
    live = entry.live(memory.now_us()) if live is None else live
    if len(live) == 1:
        return live
    ready = [row for row in live if not row.is_draining] or live
    return [row for row in ready if row.health == Instance.Health.PASSING] or ready


def newest(entry: ServiceEntry, *, live: list[InstanceEntry] | None = None) -> InstanceEntry | None:
    """Return the passing instance that registered last (of the newest live one where none passes)."""
    return max(
        serving(entry, live=live),
        key=lambda row: (row.registered_us, row.instance_id),
        default=None,
    )


def pick(entry: ServiceEntry) -> InstanceEntry | None:
    """Return one at random by weight; a running canary gets its share of the answers."""
    candidates = serving(entry)
    if entry.canary is not None:
        candidates = _canary_side(candidates, *entry.canary)
    weights = [row.weight for row in candidates]
    if not candidates:
        return None
    return random.choices(candidates, weights if any(weights) else None)[0]  # noqa: S311


def _canary_side(
    candidates: list[InstanceEntry], version: str, percent: int
) -> list[InstanceEntry]:
    new = [row for row in candidates if row.version == version]
    old = [row for row in candidates if row.version != version]
    chosen = new if random.random() * 100 < percent else old  # noqa: S311
    return chosen or candidates
