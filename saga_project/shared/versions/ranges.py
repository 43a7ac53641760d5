"""Ranges of versions: ``>=1.4,<2``, ``^1.4``, ``~1.4.2``, ``~=1.4``, ``1.4.*``, ``!=1.5.1``.

A range compares what ``Reading.base`` holds: neither variant nor revision nor build metadata count, unless a
bound names a build.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import Callable
from typing import Any

from saga_project.shared.versions import reading, schemes
from saga_project.shared.versions.reading import Reading

MAX_RANGE_LENGTH = 255
_COMPARATOR = re.compile(r"(>=|<=|==|!=|~=|>|<|=|\^|~)?\s*([^\s<>=!~^,]+)")
_WILDCARD = re.compile(r"(?P<prefix>[0-9]+(?:\.[0-9]+)*)\.[*xX]", re.ASCII)


class RangeError(ValueError):
    """A range that cannot be read; its text says why."""


@dataclasses.dataclass(frozen=True)
class Comparator:
    """One condition of a range; ``release`` is the prefix of a wildcard, else None."""

    symbol: str
    version: str
    release: tuple[int, ...] | None = None

    def allows(self, text: str, scheme: str = schemes.AUTO, pattern: str = "") -> bool:
        found = schemes.read(text, scheme, pattern)
        if found is None:
            return False
        if self.release is not None:
            return self._has_prefix(found) == (self.symbol == "==")
        bound = schemes.read(self.version, scheme, pattern) or schemes.reading_of(self.version)
        if self.symbol in ("==", "!="):
            return self._equals(found, bound) == (self.symbol == "==")
        if not found.is_version:
            return False
        if self.symbol == "<" and self._is_prerelease_of_bound(found, bound):
            return False
        return _ordered(self.symbol, found, bound)

    def _has_prefix(self, found: Reading) -> bool:
        if self.release is None or not found.is_version:
            return False
        padded = (*found.release, *(0 for _ in self.release))[: len(self.release)]
        return bool(padded == self.release)

    def _equals(self, found: Reading, bound: Reading) -> bool:
        if found.is_version != bound.is_version or type(found.base) is not type(bound.base):
            return False
        if not found.is_version or "+" in self.version:
            return found.key == bound.key
        return bool(found.base == bound.base)

    def _is_prerelease_of_bound(self, found: Reading, bound: Reading) -> bool:
        """As PEP 440 has it: ``<2`` does not contain 2.0.0-rc.1, ``<2.0.0-rc.2`` does."""
        return found.is_prerelease and not bound.is_prerelease and found.release == bound.release


def _ordered(symbol: str, found: Reading, bound: Reading) -> bool:
    try:
        return bool(_ORDER[symbol](found.base, bound.base))
    except TypeError:  # a bound that its scheme cannot read
        return _ORDER[symbol](found.release, bound.release)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclasses.dataclass(frozen=True)
class Range:
    """All of its comparators must hold; none of them means any version."""

    text: str
    comparators: tuple[Comparator, ...]

    def allows(self, text: str, scheme: str = schemes.AUTO, pattern: str = "") -> bool:
        return all(comparator.allows(text, scheme, pattern) for comparator in self.comparators)

    def __str__(self) -> str:
        return self.text


@functools.lru_cache(maxsize=1024)
def parse_range(text: str) -> Range:
    """Read ``>=1.4,<2``, ``^1.4``, ``~1.4.2``, ``~=1.4``, ``1.4.*``, ``!=1.5.1``; a bare one means itself.

    Conditions are separated by commas or spaces, and all must hold. Raises RangeError.
    """
    if len(text) > MAX_RANGE_LENGTH:
        raise RangeError(f"A range has at most {MAX_RANGE_LENGTH} characters.")
    comparators: list[Comparator] = []
    position = 0
    stripped = text.strip()
    while position < len(stripped):
        match = _COMPARATOR.match(stripped, position)
        if match is None:
            raise RangeError(f"'{stripped[position:]}' is not a condition such as >=1.4.")
        comparators.extend(_comparators(match[1] or "==", match[2]))
        position = _skip_separator(stripped, match.end())
    return Range(text=stripped, comparators=tuple(comparators))


def _skip_separator(text: str, position: int) -> int:
    end = position + len(text[position:]) - len(text[position:].lstrip())
    if not text.startswith(",", end):
        return end
    end += 1 + len(text[end + 1 :]) - len(text[end + 1 :].lstrip())
    if end == len(text):
        raise RangeError("A range does not end with a comma.")
    return end


def _comparators(symbol: str, version: str) -> list[Comparator]:
    symbol = "==" if symbol == "=" else symbol
    if version in ("*", "x", "X") and symbol == "==":
        return []
    if wildcard := _WILDCARD.fullmatch(version):
        if symbol not in ("==", "!=") or reading.has_long_number(version):
            raise RangeError(f"'{version}' goes with == and != only.")
        release = tuple(int(part) for part in wildcard["prefix"].split("."))
        return [Comparator(symbol, version, release)]
    if symbol in ("==", "!=") and "*" not in version:
        return [Comparator(symbol, version)]
    if not schemes.is_version(version):
        raise RangeError(f"'{version}' is not a version that {symbol} can compare.")
    if symbol in _ORDER:
        return [Comparator(symbol, version)]
    return [Comparator(">=", version), Comparator("<", _ceiling(symbol, version))]


def _ceiling(symbol: str, version: str) -> str:
    """The first version that ``^``, ``~`` or ``~=`` no longer contains."""
    written = re.match(r"[0-9]+(?:\.[0-9]+)*", reading.bare_of(version))
    numbers = [int(part) for part in written[0].split(".")] if written else [0]
    if symbol == "~=" and len(numbers) < 2:
        raise RangeError("~= needs at least two numbers, such as ~=1.4.")
    kept = _numbers_that_stay(symbol, numbers)
    return ".".join(str(number) for number in [*numbers[:kept], numbers[kept] + 1])


def _numbers_that_stay(symbol: str, numbers: list[int]) -> int:
    if symbol == "~=":
        return len(numbers) - 2
    if symbol == "~":
        return min(1, len(numbers) - 1)
    return next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
