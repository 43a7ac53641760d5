"""Versions and ranges: one total order over SemVer, PEP 440 and everything else.

- A leading ``v`` and build metadata (``+…``) do not count: ``v1.4.0+build.7`` equals ``1.4``.
- What SemVer can read (``1.4`` is ``1.4.0``) is ordered by SemVer, else what PEP 440 can read by PEP 440.
  Where the two meet, ``rc1`` of PEP 440 stands beside ``rc.1`` of SemVer.
- Anything else is in natural order: runs of digits by value, text between them by code point, a number
  before text. All of it sorts below every real version, so that a tag ``nightly`` never beats a release,
  and no range but ``==`` and ``!=`` holds for it.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import packaging.version
import semver

MAX_RANGE_LENGTH = 255
# Wide enough for a date and a time; longer runs of digits are refused before int() works on them.
_MAX_DIGITS = 18

_PREFIX = re.compile(r"^[vV](?=[0-9])")
# 2024-01-05 is no pre-release of 2024.0.0.
_DATE_LIKE = re.compile(r"[0-9]+-", re.ASCII)
_NATURAL = re.compile(r"[0-9]+|[^0-9]+", re.ASCII)
_PRERELEASE_WORD = re.compile(
    r"(?<![a-z])(alpha|beta|rc|pre|preview|dev|snapshot|nightly|canary)(?![a-z])", re.IGNORECASE
)
_COMPARATOR = re.compile(r"(>=|<=|==|!=|~=|>|<|=|\^|~)?\s*([^\s<>=!~^,]+)")
_WILDCARD = re.compile(r"(?P<prefix>[0-9]+(?:\.[0-9]+)*)\.[*xX]", re.ASCII)
_LETTERS = {"a": "alpha", "b": "beta", "rc": "rc"}

Key = tuple[Any, ...]
_DEVELOPMENT, _PRERELEASE, _FINAL, _POST = range(4)


class RangeError(ValueError):
    """A range that cannot be read; its text says why."""


# --- Reading --------------------------------------------------------------------------------------


def _bare(text: str) -> str:
    return _PREFIX.sub("", text, count=1)


def _has_long_number(text: str) -> bool:
    return any(len(run) > _MAX_DIGITS for run in re.findall(r"[0-9]+", text))


def _semver(text: str) -> semver.Version | None:
    bare = _bare(text)
    if _DATE_LIKE.match(bare):
        return None
    try:
        return semver.Version.parse(bare, optional_minor_and_patch=True)
    except ValueError:
        return None


def _pep440(text: str) -> packaging.version.Version | None:
    try:
        return packaging.version.Version(_bare(text))
    except packaging.version.InvalidVersion:
        return None


def _trimmed(release: Iterable[int]) -> tuple[int, ...]:
    numbers = list(release)
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _identifier(text: str) -> Key:
    return (0, int(text), "") if text.isdigit() else (1, 0, text)


def _semver_key(version: semver.Version) -> Key:
    release = _trimmed((version.major, version.minor, version.patch))
    if version.prerelease is None:
        return (1, 0, release, (_FINAL,))
    identifiers = tuple(_identifier(part) for part in version.prerelease.split("."))
    return (1, 0, release, (_PRERELEASE, identifiers, _NO_TAIL))


# (post, dev) of a PEP 440 pre-release: 1a1.dev1 < 1a1 < 1a1.post1.dev1 < 1a1.post1
_NO_TAIL: Key = (-1, 1, 0)


def _tail(version: packaging.version.Version) -> Key:
    post = -1 if version.post is None else version.post
    return (post, 1, 0) if version.dev is None else (post, 0, version.dev)


def _pep440_key(version: packaging.version.Version) -> Key:
    start = (1, version.epoch, _trimmed(version.release))
    if version.pre is not None:
        letter, number = version.pre
        identifiers = (_identifier(_LETTERS[letter]), (0, number, ""))
        return (*start, (_PRERELEASE, identifiers, _tail(version)))
    if version.post is not None:
        return (*start, (_POST, _tail(version)))
    if version.dev is not None:
        return (*start, (_DEVELOPMENT, version.dev))
    return (*start, (_FINAL,))


def _natural_key(text: str) -> Key:
    runs = _NATURAL.findall(_bare(text).partition("+")[0])
    return (0, tuple(_natural_run(run) for run in runs))


def _natural_run(run: str) -> Key:
    if run[0] not in "0123456789":
        return (1, 0, run)
    # Length first, then digits: by value, without int() on a run of any length.
    digits = run.lstrip("0")
    return (0, len(digits), digits)


@functools.lru_cache(maxsize=8192)
def key(text: str) -> Key:
    """Return what orders ``text`` among versions."""
    if not _has_long_number(text):
        if (as_semver := _semver(text)) is not None:
            return _semver_key(as_semver)
        if (as_pep440 := _pep440(text)) is not None:
            return _pep440_key(as_pep440)
    return _natural_key(text)


def is_version(text: str) -> bool:
    """Whether SemVer or PEP 440 can read ``text``."""
    return bool(key(text)[0])


def is_prerelease(text: str) -> bool:
    """By SemVer or PEP 440; of anything else, whether it holds a word such as beta or nightly."""
    found = key(text)
    if found[0]:
        return bool(found[3][0] in (_DEVELOPMENT, _PRERELEASE)) or _is_development_post(found)
    return _PRERELEASE_WORD.search(text) is not None


def _is_development_post(found: Key) -> bool:
    return bool(found[3][0] == _POST and found[3][1][1] == 0)


def is_newer(text: str, *, than: str) -> bool:
    return bool(key(text) > key(than))


def is_same(text: str, other: str) -> bool:
    return bool(key(text) == key(other))


def latest(texts: Iterable[str]) -> str | None:
    """Return the newest of ``texts``, of equal ones the first; None where there are none."""
    return max(texts, key=key, default=None)


# --- Ranges ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Comparator:
    """One condition of a range; ``release`` is the prefix of a wildcard, else None."""

    symbol: str
    version: str
    release: tuple[int, ...] | None = None

    def allows(self, text: str) -> bool:
        if self.release is not None:
            return self._has_prefix(text) == (self.symbol == "==")
        if self.symbol == "==":
            return is_same(text, self.version)
        if self.symbol == "!=":
            return not is_same(text, self.version)
        if not is_version(text):
            return False
        if self.symbol == "<" and self._is_prerelease_of_bound(text):
            return False
        return _ORDER[self.symbol](key(text), key(self.version))

    def _has_prefix(self, text: str) -> bool:
        if self.release is None or not is_version(text):
            return False
        found = key(text)[2]
        padded = (*found, *(0 for _ in self.release))[: len(self.release)]
        return bool(padded == self.release)

    def _is_prerelease_of_bound(self, text: str) -> bool:
        """As PEP 440 has it: ``<2`` does not let 2.0.0-rc.1 in, ``<2.0.0-rc.2`` does."""
        if is_prerelease(self.version) or not is_prerelease(text):
            return False
        return bool(key(text)[1:3] == key(self.version)[1:3])


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

    def allows(self, text: str) -> bool:
        return all(comparator.allows(text) for comparator in self.comparators)

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
        if symbol not in ("==", "!=") or _has_long_number(version):
            raise RangeError(f"'{version}' goes with == and != only.")
        release = tuple(int(part) for part in wildcard["prefix"].split("."))
        return [Comparator(symbol, version, release)]
    if symbol in ("==", "!=") and "*" not in version:
        return [Comparator(symbol, version)]
    if not is_version(version):
        raise RangeError(f"'{version}' is not a version that {symbol} can compare.")
    if symbol in _ORDER:
        return [Comparator(symbol, version)]
    return [Comparator(">=", version), Comparator("<", _ceiling(symbol, version))]


def _ceiling(symbol: str, version: str) -> str:
    """The first version that ``^``, ``~`` or ``~=`` no longer lets in."""
    written = re.match(r"[0-9]+(?:\.[0-9]+)*", _bare(version))
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
