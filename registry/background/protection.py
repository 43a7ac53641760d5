"""Protection against mass expiry: which overdue instances a sweep holds back, and what staff decided.

Many instances that are overdue at once look like a fault of the network. They become suspects, stay
listed and expire a few at a time, until they send a heartbeat again or staff confirm that they are gone.
"""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from registry import errors, presence
from saga_project.shared import auditing

UNPROTECTED_COUNT = 3
BATCH_SECONDS = 5.0
HOLD_SECONDS = 15.0
STATE_SECONDS = 60
GONE, HOLD = "gone", "hold"
DECISION_SECONDS = 600
STATE_KEY = "protection"
_BATCH, _DECISION = "protection:batch", "protection:decision"


@dataclass(frozen=True)
class Rule:
    """``share`` of the instances may expire at once; fewer than ``minimum`` instances are never protected."""

    share: float
    minimum: int

    def allowed(self, total: int) -> int:
        return max(UNPROTECTED_COUNT, math.floor(total * self.share))

    def is_mass(self, overdue: int, *, total: int) -> bool:
        return total >= self.minimum and overdue > self.allowed(total)


def registry_rule() -> Rule:
    return Rule(settings.SAGA_PROTECTION_PERCENT / 100, settings.SAGA_PROTECTION_MINIMUM)


def _service_rules() -> dict[str, Rule]:
    """Return the rules of services that have their own, by the glob of their names."""
    common = registry_rule()
    return {
        glob: Rule(
            share=float(own.get("percent", common.share * 100)) / 100,
            minimum=int(own.get("minimum", common.minimum)),
        )
        for glob, own in settings.SAGA_PROTECTION_SERVICES.items()
    }


def protected(seen: presence.Overdue) -> list[str]:
    """Return the overdue members that must not all expire now: those of a mass expiry, and suspects."""
    if decision() == GONE:
        return []
    found = {member for member in seen.due if member in seen.holds}
    groups: dict[str, list[str]] = {}
    rules = _service_rules()
    for member in seen.due:
        groups.setdefault(_glob_of(member, rules), []).append(member)
    totals = _totals(rules, seen.total)
    for glob, members in groups.items():
        rule = rules.get(glob) or registry_rule()
        if rule.is_mass(len(members), total=totals[glob]):
            found.update(members)
    return [member for member in seen.due if member in found]


def _glob_of(member: str, rules: Mapping[str, Rule]) -> str:
    """Return the first glob that fits the member's service, '' for the registry's own rule."""
    name, _ = presence.split_member(member)
    return next((glob for glob in rules if fnmatch.fnmatchcase(name, glob)), "")


def _totals(rules: Mapping[str, Rule], total: int) -> dict[str, int]:
    """Return how many instances each rule covers; they are counted only where services have own rules."""
    if not rules:
        return {"": total}
    totals = dict.fromkeys(["", *rules], 0)
    for member in presence.members():
        totals[_glob_of(member, rules)] += 1
    return totals


def choose(seen: presence.Overdue, held: Sequence[str]) -> list[str]:
    """Return which overdue members leave in this sweep: of those held back a share, in random order."""
    kept = set(held)
    leaving = [member for member in seen.due if member not in kept]
    if not held or decision() == HOLD or not cache.add(_BATCH, 1, timeout=BATCH_SECONDS):
        return leaving
    share = list(held)
    random.shuffle(share)
    return leaving + share[: registry_rule().allowed(seen.total)]


# --- What staff decide ----------------------------------------------------------------------------


def decide(what: str, *, actor: str, seconds: int = DECISION_SECONDS) -> None:
    """Expire all suspects in the next sweep (GONE), or none for a while (HOLD).

    Raises NotProtecting where no instance is held back.
    """
    known = state()
    if not known or not known["is_protecting"]:
        raise errors.NotProtecting("No instance is held back from expiring.")
    data = {"decision": what, "seconds": seconds, "suspects": known["suspects"]}
    with transaction.atomic():
        auditing.record("protection.decided", actor=actor, data=data, at=timezone.now())
        cache.set(_DECISION, what, timeout=seconds)


def decision() -> str | None:
    """Return what staff decided about the present suspects."""
    known: str | None = cache.get(_DECISION)
    return known


# --- What the last sweep saw ----------------------------------------------------------------------


def note(seen: presence.Overdue, held: Sequence[str]) -> None:
    """Keep what /health and the console show of a sweep; a decision ends with the suspects."""
    document = {
        "swept_us": seen.now_us,
        "is_protecting": bool(held),
        "suspects": len(held),
        "instances": seen.total,
    }
    cache.set(STATE_KEY, document, timeout=STATE_SECONDS)
    if seen.is_anyone_receiving and not held:
        cache.delete(_DECISION)


def state() -> dict[str, Any] | None:
    """Return what the last sweep saw, or None where none ran for a minute."""
    known: dict[str, Any] | None = cache.get(STATE_KEY)
    return known
