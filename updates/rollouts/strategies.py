"""Pure: targets and a strategy become an ordered list of moves, and an interrupted list its rollback.

The words and defaults are those of Argo Rollouts and AWS CodeDeploy. Whatever the strategy, at most
``max_unavailable`` targets are out of service at any moment, during the rollout and during the rollback.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from updates.rollouts import waves
from updates.rollouts.strategy_options import Options

ROLLING = "rolling"
BLUE_GREEN = "blue-green"
CANARY = "canary"
NAMES = (ROLLING, BLUE_GREEN, CANARY)


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
    """``seconds`` is how long a pause or hold lasts; None waits for a promotion.

    A pause without an end may expire after so many seconds; ``on_expiry`` says what it does then.
    """

    action: Action
    target: str = ""
    wave: int = 0
    weight: int | None = None
    seconds: int | None = None
    expires_after: int | None = None
    on_expiry: str = ""


def max_unavailable(options: Options, *, targets: int) -> int:
    """Percentages are rounded down, as in Kubernetes, but a rollout can always move one target."""
    wanted = options.max_unavailable
    if isinstance(wanted, str):
        wanted = math.floor(targets * int(wanted.removesuffix("%")) / 100)
    return max(1, min(wanted, targets))


def plan(
    strategy: str,
    targets: Sequence[str],
    options: Options,
    *,
    groups: Mapping[int, Sequence[str]] | None = None,
) -> list[Move]:
    """Return every move of a rollout over ``targets``, which come in their order of position.

    ``groups`` holds the targets of each wave by its number, where the options have waves.
    """
    ordered = list(reversed(targets)) if options.is_reversed else list(targets)
    staging = [Move(action=Action.STAGE, target=target) for target in ordered]
    size = max_unavailable(options, targets=len(ordered))
    if strategy == BLUE_GREEN:
        return [*staging, *_blue_green(ordered, options)]
    if strategy == CANARY:
        return [*staging, *_canary(ordered, size, options)]
    rolling = list(_rolling(ordered, size))
    if groups:
        rolling = list(_in_waves(ordered, size, options, groups))
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


def _in_waves(
    targets: Sequence[str], size: int, options: Options, groups: Mapping[int, Sequence[str]]
) -> Iterator[Move]:
    """Each group in batches of its own, then its pause; the last one pauses for its threshold only."""
    for number, members in groups.items():
        for batch in _batches([target for target in targets if target in members], size):
            yield from _each(batch, _IN_PLACE, number)
        wave = waves.number(options, number)
        seconds = 0 if number == max(groups) else wave.pause_seconds
        if seconds != 0 or wave.success_threshold:
            yield Move(
                action=Action.PAUSE,
                wave=number,
                seconds=seconds,
                expires_after=wave.expires_after,
                on_expiry=wave.on_expiry if wave.expires_after else "",
            )


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
            yield Move(
                action=Action.PAUSE,
                seconds=step.pause_seconds,
                wave=wave,
                expires_after=step.expires_after,
                on_expiry=step.on_expiry if step.expires_after else "",
            )
    yield Move(action=Action.CLEAR_SHARE)
    for batch in _batches(targets[done:], size):
        yield from _each(batch, _IN_PLACE, len(options.canary_steps) + 1)


def undo(begun: Sequence[Move], options: Options, *, targets: int) -> list[Move]:
    """Return the rollback of the moves that have begun (whether or not they were finished).

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
        moves.extend(_rollback_waves(batch, wave, touched=touched))
    if moves and moves[0].action is Action.SHARE:
        moves.append(Move(action=Action.CLEAR_SHARE))
    return moves


_BACK_IN_PLACE = (Action.DRAIN, Action.RESTORE, Action.RESTART, Action.HEALTH, Action.UNDRAIN)


def _rollback_waves(batch: Sequence[str], wave: int, *, touched: Sequence[str]) -> Iterator[Move]:
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
