"""Pure: targets and a strategy become an ordered list of moves, and an interrupted list its way back.

The words and defaults are those of Argo Rollouts and AWS CodeDeploy. Whatever the strategy, at most
``max_unavailable`` targets are out of service at any moment, on the way there and on the way back.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROLLING = "rolling"
BLUE_GREEN = "blue-green"
CANARY = "canary"
NAMES = (ROLLING, BLUE_GREEN, CANARY)

MAX_PAUSE_SECONDS = 30 * 86_400


class InvalidOptions(ValueError):
    """The options of a strategy make no sense; the text says which."""


class Action(enum.StrEnum):
    STAGE = "stage"
    SHARE = "share"
    DRAIN = "drain"
    SWITCH = "switch"
    RESTORE = "restore"
    RESTART = "restart"
    HEALTH = "health"
    UNDRAIN = "undrain"
    PAUSE = "pause"
    HOLD = "hold"
    CLEAR_SHARE = "clear share"
    BAKE = "bake"
    SWAP = "swap"


@dataclass(frozen=True, kw_only=True)
class Move:
    """``seconds`` is how long a pause or hold lasts; None waits for a promotion."""

    action: Action
    target: str = ""
    wave: int = 0
    weight: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class CanaryStep:
    weight: int
    pause_seconds: int | None


@dataclass(frozen=True, kw_only=True)
class Options:
    max_unavailable: int | str = "25%"
    is_reversed: bool = False
    canary_steps: tuple[CanaryStep, ...] = (CanaryStep(weight=10, pause_seconds=300),)
    scale_down_delay_seconds: int = 30
    progress_deadline_seconds: int = 600
    abort_threshold: int = 1
    bake_seconds: int | None = None
    failure_threshold: int = 3
    has_drain: bool = True


def max_unavailable(options: Options, *, targets: int) -> int:
    """Percentages are rounded down, as in Kubernetes, but a rollout can always move one target."""
    wanted = options.max_unavailable
    if isinstance(wanted, str):
        wanted = math.floor(targets * int(wanted.removesuffix("%")) / 100)
    return max(1, min(wanted, targets))


def plan(strategy: str, targets: Sequence[str], options: Options) -> list[Move]:
    """Return every move of a rollout over ``targets``, which come in their order of position."""
    ordered = list(reversed(targets)) if options.is_reversed else list(targets)
    staging = [Move(action=Action.STAGE, target=target) for target in ordered]
    size = max_unavailable(options, targets=len(ordered))
    if strategy == BLUE_GREEN:
        return [*staging, *_blue_green(ordered, options)]
    if strategy == CANARY:
        return [*staging, *_canary(ordered, size, options)]
    rolling = _rolling(ordered, size)
    if not options.has_drain:
        return [*staging, *(move for move in rolling if move.action not in _DRAINING)]
    return [*staging, *rolling]


_DRAINING = (Action.DRAIN, Action.UNDRAIN)


def _batches(targets: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(targets), size):
        yield targets[start : start + size]


def _each(batch: Iterable[str], actions: Iterable[Action], wave: int) -> Iterator[Move]:
    targets = list(batch)
    for action in actions:
        for target in targets:
            yield Move(action=action, target=target, wave=wave)


_IN_PLACE = (Action.DRAIN, Action.SWITCH, Action.RESTART, Action.HEALTH, Action.UNDRAIN)


def _rolling(targets: Sequence[str], size: int) -> Iterator[Move]:
    for wave, batch in enumerate(_batches(targets, size), start=1):
        yield from _each(batch, _IN_PLACE, wave)


def _blue_green(targets: Sequence[str], options: Options) -> Iterator[Move]:
    """The targets stand by, so all are changed at once; then the lookups move to them in one step."""
    yield Move(action=Action.SHARE, weight=0, wave=1)
    yield from _each(targets, [Action.SWITCH, Action.RESTART, Action.HEALTH], 1)
    yield Move(action=Action.SWAP, wave=1)
    if options.scale_down_delay_seconds:
        yield Move(action=Action.HOLD, seconds=options.scale_down_delay_seconds)


def _canary(targets: Sequence[str], size: int, options: Options) -> Iterator[Move]:
    """After the last pause all instances share the load equally while the rest follows."""
    done = 0
    for wave, step in enumerate(options.canary_steps, start=1):
        yield Move(action=Action.SHARE, weight=step.weight, wave=wave)
        wanted = max(1, len(targets) * step.weight // 100)
        for batch in _batches(targets[done:wanted], size):
            yield from _each(batch, _IN_PLACE, wave)
        done = max(done, wanted)
        if step.pause_seconds != 0:
            yield Move(action=Action.PAUSE, seconds=step.pause_seconds, wave=wave)
    yield Move(action=Action.CLEAR_SHARE)
    for batch in _batches(targets[done:], size):
        yield from _each(batch, _IN_PLACE, len(options.canary_steps) + 1)


def undo(begun: Sequence[Move], options: Options, *, targets: int) -> list[Move]:
    """Return the way back from the moves that have begun (whether or not they were finished).

    Targets that are out of service come first: they cost nothing more. The others follow in batches.
    """
    touched = _targets_of(begun, Action.SWITCH)
    if touched and _is_blue_green(begun):
        return [Move(action=Action.SWAP), Move(action=Action.CLEAR_SHARE)]
    out = [target for target in _targets_of(begun, Action.DRAIN) if _is_out(target, begun)]
    size = max_unavailable(options, targets=targets)
    moves: list[Move] = []
    if any(move.action is Action.SHARE for move in begun):
        moves.append(Move(action=Action.SHARE, weight=0))
    in_service = [target for target in reversed(touched) if target not in out]
    for wave, batch in enumerate((out, *_batches(in_service, size)), start=1):
        moves.extend(_way_back(batch, wave, touched=touched))
    if moves and moves[0].action is Action.SHARE:
        moves.append(Move(action=Action.CLEAR_SHARE))
    return moves


_BACK_IN_PLACE = (Action.DRAIN, Action.RESTORE, Action.RESTART, Action.HEALTH, Action.UNDRAIN)


def _way_back(batch: Sequence[str], wave: int, *, touched: Sequence[str]) -> Iterator[Move]:
    for move in _each(batch, _BACK_IN_PLACE, wave):
        if move.target in touched or move.action is Action.UNDRAIN:
            yield move


def _targets_of(moves: Iterable[Move], action: Action) -> list[str]:
    return list(dict.fromkeys(move.target for move in moves if move.action is action))


def _is_out(target: str, begun: Sequence[Move]) -> bool:
    """An undrain that has only begun counts as not done: the target may still be out of the lookups."""
    mine = [move.action for move in begun if move.target == target]
    return Action.UNDRAIN not in mine or begun[-1] == Move(
        action=Action.UNDRAIN, target=target, wave=begun[-1].wave
    )


def _is_blue_green(begun: Sequence[Move]) -> bool:
    """True where the new version gets none of the lookups while it is prepared."""
    return any(move.action is Action.SHARE and move.weight == 0 for move in begun)


# --- Options as people write them ------------------------------------------------------------------

_CANARY_PRESET = re.compile(r"Canary(\d+)Percent(\d+)Minutes?")
_LINEAR_PRESET = re.compile(r"Linear(\d+)PercentEvery(\d+)Minutes?")
_BATCH_PRESETS: Mapping[str, int | str] = {
    "OneAtATime": 1,
    "HalfAtATime": "50%",
    "AllAtOnce": "100%",
}
_KEYS = {
    "max_unavailable",
    "order",
    "preset",
    "steps",
    "auto_promote",
    "scale_down_delay_seconds",
    "progress_deadline_seconds",
    "abort_threshold",
    "bake_seconds",
    "drain",
    "failure_threshold",
}


def read_options(raw: Mapping[str, Any]) -> Options:
    """Return the options that a policy or request spells out; raises InvalidOptions."""
    unknown = sorted(set(raw) - _KEYS)
    if unknown:
        raise InvalidOptions(
            f"Unknown option {unknown[0]!r}; there are {', '.join(sorted(_KEYS))}."
        )
    preset = raw.get("preset")
    limit = raw.get("max_unavailable", _BATCH_PRESETS.get(_bare(preset), "25%"))
    return Options(
        max_unavailable=_read_limit(limit),
        is_reversed=_read_order(raw.get("order", "position")),
        canary_steps=_read_steps(raw),
        scale_down_delay_seconds=_read_seconds(raw, "scale_down_delay_seconds", 30, minimum=0),
        progress_deadline_seconds=_read_seconds(raw, "progress_deadline_seconds", 600, minimum=1),
        abort_threshold=_read_number("abort_threshold", raw.get("abort_threshold", 1), 1, 1000),
        bake_seconds=_read_bake(raw.get("bake_seconds")),
        has_drain=_read_flag("drain", raw.get("drain", True)),
        failure_threshold=_read_number(
            "failure_threshold", raw.get("failure_threshold", 3), 1, 1000
        ),
    )


def _bare(preset: Any) -> str:
    return re.sub(r"^(?:CodeDeployDefault\.)?(?:ECS|Lambda)?", "", str(preset))


def _read_number(name: str, value: Any, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidOptions(f"{name} must be a whole number from {lowest} to {highest}.")
    return value


def _read_seconds(raw: Mapping[str, Any], name: str, default: int, *, minimum: int) -> int:
    return _read_number(name, raw.get(name, default), minimum, MAX_PAUSE_SECONDS)


def _read_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidOptions(f"{name} must be true or false.")
    return value


def _read_bake(value: Any) -> int | None:
    """None leaves it to the settings. A worker stays with the job for so long: at most an hour."""
    return None if value is None else _read_number("bake_seconds", value, 0, 3600)


def _read_limit(value: Any) -> int | str:
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?%|100%", value, re.ASCII):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return value
    raise InvalidOptions(
        "max_unavailable must be a number of targets from 1, or a share such as '25%'."
    )


def _read_order(value: Any) -> bool:
    if value not in ("position", "reverse"):
        raise InvalidOptions("order must be 'position' or 'reverse'.")
    return bool(value == "reverse")


def _read_steps(raw: Mapping[str, Any]) -> tuple[CanaryStep, ...]:
    is_by_hand = raw.get("auto_promote", True) is False
    if "steps" in raw:
        steps = _spelled_out(raw["steps"])
    else:
        steps = _from_preset(raw.get("preset", "Canary10Percent5Minutes"))
    if is_by_hand:
        return tuple(CanaryStep(weight=step.weight, pause_seconds=None) for step in steps)
    return steps


def _spelled_out(value: Any) -> tuple[CanaryStep, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 100:
        raise InvalidOptions("steps must be a list of 1 to 100 steps.")
    steps = tuple(_read_step(item) for item in value)
    weights = [step.weight for step in steps]
    if weights != sorted(set(weights)):
        raise InvalidOptions("The weights of the steps must rise.")
    return steps


def _read_step(item: Any) -> CanaryStep:
    if not isinstance(item, dict) or "weight" not in item:
        raise InvalidOptions("A step is an object with weight and pause_seconds.")
    weight = _read_number("weight", item["weight"], 1, 99)
    pause = item.get("pause_seconds")
    if pause is not None:
        pause = _read_number("pause_seconds", pause, 0, MAX_PAUSE_SECONDS)
    return CanaryStep(weight=weight, pause_seconds=pause)


def _from_preset(name: Any) -> tuple[CanaryStep, ...]:
    bare = _bare(name)
    if bare in _BATCH_PRESETS:
        return Options.canary_steps
    if match := _CANARY_PRESET.fullmatch(bare):
        percent, minutes = (int(part) for part in match.groups())
        weights = [percent]
    elif match := _LINEAR_PRESET.fullmatch(bare):
        percent, minutes = (int(part) for part in match.groups())
        weights = list(range(percent, 100, percent)) if percent else []
    else:
        raise InvalidOptions(f"Unknown preset {name!r}; try Canary10Percent5Minutes.")
    if not weights or not 1 <= percent <= 99 or not 1 <= minutes <= MAX_PAUSE_SECONDS // 60:
        raise InvalidOptions(f"Preset {name!r} has a share or a time that makes no sense.")
    return tuple(CanaryStep(weight=weight, pause_seconds=minutes * 60) for weight in weights)
