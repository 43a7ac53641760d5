"""The schemes by which version strings are read, and what compares two of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import packaging.version
from univers import versions as univers

from saga_project.shared.versions import reading
from saga_project.shared.versions.reading import Key, Reading

AUTO = "auto"
NAMES = (AUTO, "semver", "pep440", "calver", "debian", "maven", "docker", "regex")
MAX_PATTERN_LENGTH = 255
_GROUPS = frozenset(
    {"version", "major", "minor", "patch", "build", "revision", "prerelease", "compatibility"}
)
_MAVEN_PRERELEASE = re.compile(
    r"(?<![a-z])(alpha|beta|milestone|rc|cr|snapshot|a|b|m)(?![a-z])", re.IGNORECASE
)
_CALENDAR = re.compile(r"(?P<year>[0-9]{4}|[0-9]{2})(?P<rest>(?:[._-][0-9]+)*)", re.ASCII)


class PatternError(ValueError):
    """A pattern that cannot be used; its text says why."""


# --- One scheme each -------------------------------------------------------------------------------


def _semver(text: str) -> Reading | None:
    bare = reading.bare_of(text)
    version = None if reading.has_long_number(bare) else reading.parse_semver(bare)
    if version is None:
        return None
    precedence = version.replace(build=None)
    return Reading(
        base=precedence,
        release=reading.trimmed((version.major, version.minor, version.patch)),
        is_prerelease=version.prerelease is not None,
    )


def _pep440(text: str) -> Reading | None:
    try:
        version = packaging.version.Version(text)
    except packaging.version.InvalidVersion:
        return None
    return Reading(
        base=packaging.version.Version(version.public),
        extra=(version,),
        release=reading.trimmed(version.release),
        is_prerelease=version.is_prerelease,
    )


def _calver(text: str) -> Reading | None:
    """``2024-01-05``, ``24.04.1`` and ``2025.01.0-alpine``: the first number is a year."""
    bare = reading.bare_of(text)
    found = _CALENDAR.match(bare)
    if found is None or bare[found.end() : found.end() + 1].isdigit():
        return None
    dotted = found["year"] + re.sub("[_-]", ".", found["rest"])
    return reading.read_tag(dotted + bare[found.end() :])


def _debian(text: str) -> Reading | None:
    return _univers(univers.DebianVersion, text, is_prerelease="~" in text)


def _maven(text: str) -> Reading | None:
    is_prerelease = _MAVEN_PRERELEASE.search(text) is not None
    return _univers(univers.MavenVersion, text, is_prerelease=is_prerelease)


def _univers(kind: type[Any], text: str, *, is_prerelease: bool) -> Reading | None:
    if reading.has_long_number(text) or not any(character.isdigit() for character in text):
        return None
    try:
        version = kind(text)
    except (univers.InvalidVersion, ValueError):
        return None
    numbers = re.match(r"(?:[0-9]+:)?([0-9]+(?:\.[0-9]+)*)", text, re.ASCII)
    release = [int(part) for part in numbers[1].split(".")] if numbers else []
    return Reading(base=version, release=reading.trimmed(release), is_prerelease=is_prerelease)


_READERS: dict[str, Callable[[str], Reading | None]] = {
    AUTO: reading.read,
    "semver": _semver,
    "pep440": _pep440,
    "calver": _calver,
    "debian": _debian,
    "maven": _maven,
    "docker": reading.read_tag,
}


# --- Patterns --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the pattern of a tag; ``(?<name>…)`` may be written for ``(?P<name>…)``. Raises PatternError."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise PatternError(f"A pattern has at most {MAX_PATTERN_LENGTH} characters.")
    try:
        compiled = re.compile(re.sub(r"\(\?<(?=[a-z])", "(?P<", pattern), re.ASCII)
    except re.error as exc:
        raise PatternError(f"'{pattern}' is not a regular expression: {exc}.") from None
    if unknown := sorted(set(compiled.groupindex) - _GROUPS):
        known = ", ".join(sorted(_GROUPS))
        raise PatternError(f"'{unknown[0]}' is no group of a pattern; the groups are {known}.")
    return compiled


def _by_pattern(text: str, pattern: str) -> Reading | None:
    """Read by the named groups; versions that differ in ``compatibility`` have no order."""
    found = compile_pattern(pattern).fullmatch(text)
    if found is None or reading.has_long_number(text):
        return None
    groups = {name: value or "" for name, value in found.groupdict().items()}
    if "version" in groups and "major" not in groups:
        inner = reading.read(groups["version"])
        return inner if inner.is_version else None
    numbers = [
        int(groups[name]) if groups.get(name, "").isdigit() else 0
        for name in ("major", "minor", "patch", "build", "revision")
    ]
    prerelease = groups.get("prerelease", "")
    stage = reading.read(f"1.0.0-{prerelease}").base if prerelease else reading.read("1.0.0").base
    return Reading(
        base=(tuple(numbers), stage),
        line=groups.get("compatibility", ""),
        release=reading.trimmed(numbers),
        is_prerelease=bool(prerelease),
    )


# --- Comparing -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16384)
def read(text: str, scheme: str = AUTO, pattern: str = "") -> Reading | None:
    """Return what ``text`` says in ``scheme``; None where it is no version there."""
    if scheme == "regex":
        return _by_pattern(text, pattern)
    if pattern and compile_pattern(pattern).fullmatch(text) is None:
        return None
    return _READERS[scheme](text)


def key(text: str) -> Key:
    """Return what orders ``text`` among all strings: below every version stands what is none."""
    return reading_of(text).key


def reading_of(text: str) -> Reading:
    found = read(text)
    assert found is not None  # noqa: S101 - auto reads any text
    return found


def is_version(text: str) -> bool:
    """Whether ``auto`` reads ``text`` as a version."""
    return reading_of(text).is_version


def is_prerelease(text: str, scheme: str = AUTO, pattern: str = "") -> bool:
    found = read(text, scheme, pattern) or reading_of(text)
    return found.is_prerelease


def is_newer(text: str, *, than: str, scheme: str = AUTO, pattern: str = "") -> bool:
    """Whether ``text`` follows ``than``; False where the two have no order."""
    new, old = read(text, scheme, pattern), read(than, scheme, pattern)
    if new is None:
        return False
    if old is None or old.is_only_a_name:
        return new.is_version
    return new.is_version == old.is_version and new.line == old.line and new.key > old.key


def is_same_line(text: str, other: str, *, scheme: str = AUTO, pattern: str = "") -> bool:
    one, two = read(text, scheme, pattern), read(other, scheme, pattern)
    return one is not None and two is not None and one.line == two.line


def is_same(text: str, other: str) -> bool:
    one, two = reading_of(text), reading_of(other)
    return one.key == two.key and one.line == two.line


def rank(text: str, scheme: str = AUTO, pattern: str = "") -> Key:
    """Return what sorts versions of one scheme: of equal ones, the most precise is last."""
    found = read(text, scheme, pattern)
    return (0,) if found is None else (1, found.key, found.precision)


def latest(texts: Iterable[str], scheme: str = AUTO, pattern: str = "") -> str | None:
    """Return the newest of ``texts``, of equal ones the first; None where there are none."""
    fit = [text for text in texts if read(text, scheme, pattern) is not None]
    return max(fit, key=lambda text: rank(text, scheme, pattern), default=None)
