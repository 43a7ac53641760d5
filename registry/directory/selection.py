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


def chosen(entry: ServiceEntry, *, live: list[InstanceEntry] | None = None) -> InstanceEntry | None:
    """Return the instance that a lookup tells of: the newest, or during a rollout one at random by weight."""
    if entry.canary is None:
        return newest(entry, live=live)
    return pick(entry, live=live)


def newest(entry: ServiceEntry, *, live: list[InstanceEntry] | None = None) -> InstanceEntry | None:
    """Return the passing instance that registered last (of the newest live one where none passes).

    While one version gets none of the lookups, or all of them, only instances of the right side count.
    """
    candidates = serving(entry, live=live)
    if entry.canary is not None and entry.canary[1] in (0, 100):
        candidates = _canary_side(candidates, *entry.canary)
    return max(
        candidates,
        key=lambda row: (row.registered_us, row.instance_id),
        default=None,
    )


def pick(entry: ServiceEntry, *, live: list[InstanceEntry] | None = None) -> InstanceEntry | None:
    """Return one at random by weight; a running canary gets its share of the answers."""
    candidates = serving(entry, live=live)
    if entry.canary is not None:
        candidates = _canary_side(candidates, *entry.canary)
    weights = [row.weight for row in candidates]
    if not candidates:
        return None
    return random.choices(candidates, weights if any(weights) else None)[0]  # noqa: S311


def _canary_side(
    candidates: list[InstanceEntry], version: str, percent: int | None
) -> list[InstanceEntry]:
    """Return the side that gets this lookup; without a share all instances are alike."""
    if percent is None:
        return candidates
    new = [row for row in candidates if row.version == version]
    old = [row for row in candidates if row.version != version]
    chosen = new if random.random() * 100 < percent else old  # noqa: S311
    return chosen or candidates
