"""Which of a service's instances a caller is sent to."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass

from registry.directory import memory
from registry.directory.entries import InstanceEntry, ServiceEntry
from registry.models import Instance
from saga_project.shared import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a caller asks of an instance; None and empty ask for nothing.

    Version, capability and exclusion are conditions. ``zone`` is preferred, where any of the rest is in it.
    ``sticky_key`` takes the place of chance: the same key gets the same instance.
    """

    zone: str | None = None
    version: versions.Range | None = None
    capability: str | None = None
    excluded: frozenset[str] = frozenset()
    sticky_key: str | None = None

    def allows(self, row: InstanceEntry) -> bool:
        """Return whether the instance meets the conditions; one without a version is in no range."""
        return (
            row.instance_id not in self.excluded
            and (self.capability is None or self.capability in row.capabilities)
            and (self.version is None or (bool(row.version) and self.version.allows(row.version)))
        )


ANY = Criteria()


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
    """Return the instance of a lookup's answer: the newest, or during a rollout one at random by weight."""
    if entry.canary is None:
        return newest(entry, live=live)
    return pick(entry, live=live)


def newest(entry: ServiceEntry, *, live: list[InstanceEntry] | None = None) -> InstanceEntry | None:
    """Return the passing instance that registered last (of the newest live one where none passes).

    While one version gets none of the lookups, or all of them, only instances of the right side count.
    """
    candidates = serving(entry, live=live)
    if entry.canary is not None and entry.canary[1] in (0, 100):
        candidates = _canary_side(candidates, *entry.canary, at_percent=_at_random())
    return max(
        candidates,
        key=lambda row: (row.registered_us, row.instance_id),
        default=None,
    )


def pick(
    entry: ServiceEntry, criteria: Criteria = ANY, *, live: list[InstanceEntry] | None = None
) -> InstanceEntry | None:
    """Return one that meets the criteria, by weight; a running canary gets its share of the answers.

    The side of a rollout is chosen before the zone, so that its share holds in every zone.
    """
    live = entry.live(memory.now_us()) if live is None else live
    if criteria is not ANY:
        live = [row for row in live if criteria.allows(row)]
    candidates = serving(entry, live=live)
    if not candidates:
        return None
    if entry.canary is not None:
        at_percent = _at_random() if criteria.sticky_key is None else _at_key(criteria.sticky_key)
        candidates = _canary_side(candidates, *entry.canary, at_percent=at_percent)
    candidates = [row for row in candidates if row.weight] or candidates
    if criteria.zone is not None:
        candidates = [row for row in candidates if row.zone == criteria.zone] or candidates
    if criteria.sticky_key is not None:
        return _highest(candidates, criteria.sticky_key)
    weights = [row.weight for row in candidates]
    return random.choices(candidates, weights if any(weights) else None)[0]  # noqa: S311


def _canary_side(
    candidates: list[InstanceEntry], version: str, percent: int | None, *, at_percent: float
) -> list[InstanceEntry]:
    """Return the side that gets this lookup; without a share all instances are alike."""
    if percent is None:
        return candidates
    new = [row for row in candidates if row.version == version]
    old = [row for row in candidates if row.version != version]
    side = new if at_percent < percent else old
    return side or candidates


def _at_random() -> float:
    return random.random() * 100  # noqa: S311


def _at_key(key: str) -> float:
    """Return where a key stands among all keys, in percent: while a share grows, keys move one way only."""
    return _fraction(key) * 100


def _highest(candidates: list[InstanceEntry], key: str) -> InstanceEntry:
    """Return the instance of a key by weighted rendezvous hashing.

    Each instance draws a number out of the key and its id. So only the keys of an instance that leaves move,
    and one that comes takes its share from all others alike.
    """
    return max(
        candidates,
        key=lambda row: (
            -(row.weight or 1) / math.log(_fraction(f"{key}\0{row.instance_id}")),
            row.instance_id,
        ),
    )


def _fraction(text: str) -> float:
    """Return a number between 0 and 1, both excluded, that is the same for the text in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (float(int.from_bytes(digest) >> 12) + 0.5) / 2.0**52
