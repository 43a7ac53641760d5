"""Pure: groups of targets that a rollout updates one after the other, and how many of each may fail.

The words are those of hawkBit's rollout groups: a success and an error threshold for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from saga_project.shared import labels
from updates.rollouts.strategy_options import Options, RolloutWave

#: Targets that no wave names come last, and none of them may fail.
REST = RolloutWave()


def number(options: Options, wave: int) -> RolloutWave:
    """Return the wave with this number, which counts from one."""
    return options.waves[wave - 1] if wave <= len(options.waves) else REST


def group(
    own_labels: Mapping[str, Mapping[str, str]], options: Options
) -> dict[int, Sequence[str]]:
    """Return the targets of each wave by its number; a target belongs to the first that it fits.

    Waves without a target are left out.
    """
    groups: dict[int, list[str]] = {}
    for target, own in own_labels.items():
        fitting = (place for place, wave in enumerate(options.waves, start=1) if _fits(wave, own))
        groups.setdefault(next(fitting, len(options.waves) + 1), []).append(target)
    return {place: groups[place] for place in sorted(groups)}


def _fits(wave: RolloutWave, own: Mapping[str, str]) -> bool:
    has_labels = wave.labels.items() <= own.items()
    return has_labels and (not wave.selector or labels.selects(wave.selector, own))


def allowed_failures(wave: RolloutWave, *, targets: int) -> int:
    """Shares are rounded down."""
    return math.floor(_count(wave.error_threshold, targets))


def needed_successes(wave: RolloutWave, *, targets: int) -> int:
    """Shares are rounded up; a wave never needs more targets than it has."""
    return min(targets, math.ceil(_count(wave.success_threshold, targets)))


def _count(threshold: int | str, targets: int) -> float:
    if isinstance(threshold, str):
        return targets * int(threshold.removesuffix("%")) / 100
    return threshold
