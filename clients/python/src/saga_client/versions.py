"""Ranges of versions such as ``>=1.4,<2``, by the rules of semver with any number of parts; pure."""

from __future__ import annotations

import functools
import operator
import re
from typing import Any, Callable

_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|>|<|=|\^|~)?\s*v?([0-9A-Za-z][0-9A-Za-z.+_-]*)\s*", re.ASCII)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_Key = tuple[tuple[int, ...], tuple[Any, ...]]


@functools.lru_cache(maxsize=1024)
def matches(version: str, wanted: str) -> bool:
    """Return whether ``version`` is in the range; ValueError for a range that cannot be read."""
    return all(_holds(version, clause) for clause in wanted.split(","))


def _holds(version: str, clause: str) -> bool:
    found = _CLAUSE.fullmatch(clause)
    if found is None:
        raise ValueError(f"'{clause.strip()}' is no version range; write '>=1.4,<2' or '1.4.2'.")
    sign, bound = found.group(1) or "==", found.group(2)
    if sign in "^~":
        return _key(bound) <= _key(version) < _ceiling(bound, sign)
    return _OPERATORS[sign](_key(version), _key(bound))


def _ceiling(bound: str, sign: str) -> _Key:
    """Return the first version that is no longer compatible: 2 after ^1.4, 1.5 after ~1.4.2."""
    parts = [*_key(bound)[0], 0, 0, 0][:3]
    place = 1 if sign == "~" else next((at for at, part in enumerate(parts) if part), 2)
    raised = [*parts[:place], parts[place] + 1]
    return _trimmed(raised), (0,)  # before its own pre-releases


@functools.lru_cache(maxsize=4096)
def _key(version: str) -> _Key:
    """Order as semver does: numbers first, a pre-release before its release, the build left out."""
    core, _, pre = version.lstrip("v").partition("+")[0].partition("-")
    numbers = []
    for part in core.split("."):
        digits = re.match(r"[0-9]*", part)
        numbers.append(int(digits.group() or 0) if digits else 0)
        if digits and digits.end() < len(part):
            pre = pre or part[digits.end() :]
    if not pre:
        return _trimmed(numbers), (1,)
    words = re.split(r"[.\-_]", pre)
    return _trimmed(numbers), (0, *((0, int(w), "") if w.isdigit() else (1, 0, w) for w in words))


def _trimmed(numbers: list[int]) -> tuple[int, ...]:
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers = numbers[:-1]
    return tuple(numbers)
