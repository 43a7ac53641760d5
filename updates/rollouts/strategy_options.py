"""Pure: the options of a strategy as people write them, in a policy or a request.

The words, presets and defaults are those of Argo Rollouts and AWS CodeDeploy.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from saga_project.shared import labels as label_rules

MAX_PAUSE_SECONDS = 30 * 86_400
#: What a pause without an end does once it has expired.
ROLLBACK, PROMOTE = "rollback", "promote"


class InvalidOptions(ValueError):
    """The options of a strategy make no sense; the text says which."""


@dataclass(frozen=True, kw_only=True)
class CanaryStep:
    """``expires_after`` is in seconds, and of a pause without an end only; None never expires."""

    weight: int
    pause_seconds: int | None
    expires_after: int | None = None
    on_expiry: str = ROLLBACK


@dataclass(frozen=True, kw_only=True)
class RolloutWave:
    """Targets that have all of the labels and fit the selector, updated together before the next wave.

    The thresholds are numbers of targets or shares of the wave. More failed targets than
    ``error_threshold`` roll the job back; with fewer good ones than ``success_threshold`` the job pauses.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    selector: str = ""
    error_threshold: int | str = 0
    success_threshold: int | str = 0
    pause_seconds: int | None = 0
    expires_after: int | None = None
    on_expiry: str = ROLLBACK


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
    waves: tuple[RolloutWave, ...] = ()
    retries: int = 2
    retry_delay_seconds: int | None = None


_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
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
    "expires_after",
    "on_expiry",
    "waves",
    "retries",
    "retry_delay_seconds",
}


def read(raw: Mapping[str, Any]) -> Options:
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
        waves=_read_waves(raw.get("waves")),
        retries=_read_number("retries", raw.get("retries", 2), 0, 10),
        retry_delay_seconds=_read_delay(raw.get("retry_delay_seconds")),
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


def _read_delay(value: Any) -> int | None:
    """None leaves it to the settings. A worker stays with the job for so long."""
    return None if value is None else _read_number("retry_delay_seconds", value, 0, 300)


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
        steps = tuple(dataclasses.replace(step, pause_seconds=None) for step in steps)
    expires_after, on_expiry = _read_expiry(raw)
    return tuple(
        dataclasses.replace(step, expires_after=expires_after, on_expiry=on_expiry)
        if step.pause_seconds is None and step.expires_after is None
        else step
        for step in steps
    )


def _spelled_out(value: Any) -> tuple[CanaryStep, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 100:
        raise InvalidOptions("steps must be a list of 1 to 100 steps.")
    steps = tuple(_read_step(item) for item in value)
    weights = [step.weight for step in steps]
    if weights != sorted(set(weights)):
        raise InvalidOptions("The weights of the steps must rise.")
    return steps


def _read_waves(value: Any) -> tuple[RolloutWave, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= 100:
        raise InvalidOptions("waves must be a list of 1 to 100 waves.")
    return tuple(_read_wave(item) for item in value)


def _read_wave(item: Any) -> RolloutWave:
    if not isinstance(item, dict) or (unknown := sorted(set(item) - _KEYS_OF_WAVE)):
        known = ", ".join(sorted(_KEYS_OF_WAVE))
        found = f", not {unknown[0]!r}" if isinstance(item, dict) else ""
        raise InvalidOptions(f"A wave is an object with {known}{found}.")
    labels = item.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise InvalidOptions('labels of a wave are an object of texts, such as {"ring": "early"}.')
    selector = item.get("selector")
    if selector is not None and (
        not isinstance(selector, str) or label_rules.SELECTOR.fault(selector)
    ):
        raise InvalidOptions(f"selector of a wave: {label_rules.SELECTOR.message}")
    pause = item.get("pause_seconds", 0)
    if pause is not None:
        pause = _read_number("pause_seconds", pause, 0, MAX_PAUSE_SECONDS)
    expires_after, on_expiry = _read_expiry(item)
    return RolloutWave(
        labels=labels,
        selector=selector or "",
        error_threshold=_read_threshold(item, "error_threshold"),
        success_threshold=_read_threshold(item, "success_threshold"),
        pause_seconds=pause,
        expires_after=None if pause is not None else expires_after,
        on_expiry=on_expiry,
    )


_KEYS_OF_WAVE = {
    "labels",
    "selector",
    "error_threshold",
    "success_threshold",
    "pause_seconds",
    "expires_after",
    "on_expiry",
}


def _read_threshold(item: Mapping[str, Any], name: str) -> int | str:
    value = item.get(name, 0)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,2}%|100%", value, re.ASCII):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1000:
        return value
    raise InvalidOptions(f"{name} must be a number of targets, or a share such as '20%'.")


def _read_step(item: Any) -> CanaryStep:
    if not isinstance(item, dict) or "weight" not in item:
        raise InvalidOptions("A step is an object with weight and pause_seconds.")
    weight = _read_number("weight", item["weight"], 1, 99)
    pause = item.get("pause_seconds")
    if pause is not None:
        pause = _read_number("pause_seconds", pause, 0, MAX_PAUSE_SECONDS)
    expires_after, on_expiry = _read_expiry(item)
    if pause is not None and expires_after is not None:
        raise InvalidOptions(
            "expires_after is for a pause without an end: make pause_seconds null, or leave it out."
        )
    return CanaryStep(
        weight=weight, pause_seconds=pause, expires_after=expires_after, on_expiry=on_expiry
    )


def _read_expiry(raw: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return after how many seconds a pause without an end expires, and what it does then."""
    on_expiry = raw.get("on_expiry", ROLLBACK)
    if on_expiry not in (ROLLBACK, PROMOTE):
        raise InvalidOptions("on_expiry must be 'rollback' or 'promote'.")
    value = raw.get("expires_after")
    return (None if value is None else _read_duration("expires_after", value)), on_expiry


def _read_duration(name: str, value: Any) -> int:
    """Read seconds, as a number or as in ``90s``, ``30m``, ``12h``, ``7d``."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = int(match[1]) * _UNITS[match[2]] if match else value
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise InvalidOptions(f"{name} must be a number of seconds, or a duration such as '30m'.")
    if not 1 <= seconds <= MAX_PAUSE_SECONDS:
        raise InvalidOptions(f"{name} must be between one second and 30 days.")
    return seconds


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
