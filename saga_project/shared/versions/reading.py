"""What a version string says: its place in the order, its line, and whether it is a pre-release.

``auto`` reads what is found in the wild. SemVer and PEP 440 are read by their libraries; around them it knows

- a leading ``v``, leading zeros (``2025.01.0``) and any count of numbers;
- build metadata (``11.2.2+security-01``), which counts after everything else, unless it is a commit;
- ``git describe`` (``1.2.3-14-gabc1234`` is after 1.2.3 and before 1.2.4);
- variants (``17.9-alpine``) and package revisions (``16.2.0-debian-12-r9``);
- the qualifiers of the Java world (``.Final``, ``.RELEASE``, ``.SP1``, ``.CR1``, ``-SNAPSHOT``).

Versions of different lines (another variant, another package's prefix) have no order. What is no version has
an order only among its own kind: ``build-9`` and ``build-10``, never ``main`` and ``develop``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import packaging.version
import semver

Key = tuple[Any, ...]
DEVELOPMENT, PRERELEASE, FINAL, POST = range(4)
# Wide enough for a date and a time; longer runs of digits are refused before int() works on them.
MAX_DIGITS = 18

_PREFIX = re.compile(r"^[vV](?=[0-9])")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
# 2024-01-05 is no pre-release of 2024.0.0.
_DATE_LIKE = re.compile(r"[0-9]+-[0-9]", re.ASCII)
_NATURAL = re.compile(r"[0-9]+|[^0-9]+", re.ASCII)
_LETTERS_AND_DIGITS = re.compile(r"[0-9]+|[^0-9.]+", re.ASCII)
_DESCRIBED = re.compile(r"(?P<base>.+)-(?P<count>[0-9]{1,9})-g[0-9a-f]{4,40}(?:-dirty)?", re.ASCII)
_COMMIT = re.compile(r"(?:g|git|sha)?\.?(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}(?:\.dirty)?", re.ASCII)
_REVISION = re.compile(r"-(?:r|ls|rev)(?P<number>[0-9]{1,9})$", re.ASCII)
_PACKAGE = re.compile(r"(?P<prefix>[^0-9]*[^0-9vV])[vV]?(?P<version>[0-9].*)", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{7,40}", re.ASCII)
_LETTERS = {"a": "alpha", "b": "beta", "rc": "rc"}

_PRERELEASE_WORDS = (
    "alpha|beta|rc|pre|preview|dev|snapshot|nightly|canary|milestone|cr|ea|unstable|insiders"
)
_PRERELEASE_WORD = re.compile(rf"(?<![a-z])({_PRERELEASE_WORDS})(?![a-z])", re.IGNORECASE)
PRERELEASE_PART = re.compile(
    rf"(?:{_PRERELEASE_WORDS}|a|b|c|m)(?:[.-]?[0-9][0-9.]*)?|(?:{_PRERELEASE_WORDS})\b.*",
    re.IGNORECASE,
)
#: What distinguishes builds of one version from each other, by the names that images and packages use.
_VARIANT_WORDS = (
    "alpine|debian|ubuntu|bookworm|bullseye|buster|stretch|trixie|jessie|sid|jammy|noble|focal|bionic|slim|ubi|ubi"
    "minimal|rhel|centos|fedora|rockylinux|amazonlinux|al2023|distroless|scratch|chainguard|wolfi|photon|oraclelinux"
    "|windowsservercore|nanoserver|windows|linux|darwin|ltsc|musl|glibc|gnu|amd64|x86_64|arm64|aarch64|arm|armv7|armhf|386"
    "|jre|jdk|openjdk|temurin|corretto|jammy|android|headless|fpm|apache|nginx|cli|zts|perl|management|minimal|full"
    "|light|lite|fat|cuda|rocm|cpu|gpu|onbuild|fips|hardened|enterprise|community|oss|ce|ee|browsers|static|otel"
)
_VARIANT_PART = re.compile(rf"(?:{_VARIANT_WORDS})[0-9.]*", re.IGNORECASE)
_QUALIFIERS = (
    (re.compile(r"[.-](?:final|release|ga)$", re.IGNORECASE), ""),
    (re.compile(r"[.-]sp[.-]?([0-9]{1,9})$", re.IGNORECASE), r".post\1"),
    (re.compile(r"[.-]cr[.-]?([0-9]{1,9})$", re.IGNORECASE), r"-rc\1"),
    (re.compile(r"[.-]m([0-9]{1,9})$", re.IGNORECASE), r"-milestone\1"),
    (re.compile(r"\.(snapshot|alpha|beta|rc)", re.IGNORECASE), r"-\1"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """``base`` is what ranges compare; ``extra`` (revision, build) decides between equals."""

    base: Any
    extra: Key = ()
    line: str = ""
    release: tuple[int, ...] = ()
    precision: int = 0
    is_version: bool = True
    is_prerelease: bool = False

    @property
    def is_only_a_name(self) -> bool:
        """Whether it holds no number to compare, as ``main`` and a commit: every version is newer."""
        is_package = self.line.endswith(("-", "_", "/", ".", "@"))
        return not self.is_version and not is_package and self.base[0] == 0

    @property
    def key(self) -> Key:
        if self.is_version:
            return (1, self.base, self.extra)
        return (0, self.line, self.base, self.extra)


def read(text: str) -> Reading:
    """Read ``text`` as ``auto`` does."""
    return _version(text, is_variant=_is_variant) or _no_version(text)


def read_tag(text: str) -> Reading | None:
    """Read the tag of an image: a suffix that names no pre-release is its variant."""
    return _version(text, is_variant=_is_no_prerelease)


def _is_variant(part: str) -> bool:
    return _VARIANT_PART.fullmatch(part) is not None


def _is_no_prerelease(part: str) -> bool:
    return PRERELEASE_PART.fullmatch(part) is None


# --- Taking a version apart ------------------------------------------------------------------------


def _version(text: str, *, is_variant: Any) -> Reading | None:
    if has_long_number(text):
        return None
    bare, _, build = bare_of(text).partition("+")
    described = _DESCRIBED.fullmatch(bare)
    bare, commits = (described["base"], int(described["count"])) if described else (bare, 0)
    bare, revision = _without_revision(bare)
    core, variant = _without_variant(bare, is_variant)
    inner = _core(core)
    if inner is None:
        return None
    numbers = _NUMBERS.match(core)
    return dataclasses.replace(
        inner,
        extra=(commits, revision, _build_key(build)),
        line=f"-{variant}" if variant else "",
        precision=numbers[0].count(".") + 1 if numbers else 0,
    )


def has_long_number(text: str) -> bool:
    return any(len(run) > MAX_DIGITS for run in re.findall(r"[0-9]+", text))


def bare_of(text: str) -> str:
    return _PREFIX.sub("", text, count=1)


def _without_revision(text: str) -> tuple[str, int]:
    found = _REVISION.search(text)
    return (text[: found.start()], int(found["number"])) if found else (text, -1)


def _without_variant(text: str, is_variant: Any) -> tuple[str, str]:
    """Split at the first part that names a variant: everything from there on belongs to it."""
    parts = text.split("-")
    for place, part in enumerate(parts[1:], start=1):
        is_number = part.isascii() and part.isdigit()
        if part and not is_number and is_variant(part):
            return "-".join(parts[:place]), "-".join(parts[place:]).lower()
    return text, ""


def _build_key(build: str) -> Key:
    """A commit says nothing of an order, so it is as good as none."""
    return () if _COMMIT.fullmatch(build) else _natural(build)


def _core(text: str) -> Reading | None:
    for pattern, replacement in _QUALIFIERS:
        text = pattern.sub(replacement, text)
    numbers = _NUMBERS.match(text)
    if numbers is None:
        return None
    text = ".".join(str(int(part)) for part in numbers[0].split(".")) + text[numbers.end() :]
    if not _DATE_LIKE.match(text) and (parsed := parse_semver(text)) is not None:
        return _of_semver(parsed)
    try:
        return _of_pep440(packaging.version.Version(text))
    except packaging.version.InvalidVersion:
        return None


def parse_semver(text: str) -> semver.Version | None:
    try:
        return semver.Version.parse(text, optional_minor_and_patch=True)
    except ValueError:
        return None


# --- SemVer and PEP 440 side by side ---------------------------------------------------------------


def trimmed(release: Iterable[int]) -> tuple[int, ...]:
    numbers = list(release)
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _identifiers(text: str) -> Key:
    """``rc9`` and ``rc.9`` are the same, and before ``rc10``."""
    return tuple(
        (0, int(run), "") if run.isdigit() else (1, 0, run.lower())
        for run in _LETTERS_AND_DIGITS.findall(text)
    )


# (post, dev) of a PEP 440 pre-release: 1a1.dev1 < 1a1 < 1a1.post1.dev1 < 1a1.post1
_NO_TAIL: Key = (-1, 1, 0)


def _of_semver(version: semver.Version) -> Reading:
    release = trimmed((version.major, version.minor, version.patch))
    if version.prerelease is None:
        return Reading(base=(0, release, (FINAL,)), release=release)
    stage = (PRERELEASE, _identifiers(version.prerelease), _NO_TAIL)
    return Reading(base=(0, release, stage), release=release, is_prerelease=True)


def _tail(version: packaging.version.Version) -> Key:
    post = -1 if version.post is None else version.post
    return (post, 1, 0) if version.dev is None else (post, 0, version.dev)


def _of_pep440(version: packaging.version.Version) -> Reading:
    release = trimmed(version.release)
    return Reading(
        base=(version.epoch, release, _pep440_stage(version)),
        release=release,
        is_prerelease=version.is_prerelease,
    )


def _pep440_stage(version: packaging.version.Version) -> Key:
    if version.pre is not None:
        letter, number = version.pre
        return (PRERELEASE, ((1, 0, _LETTERS[letter]), (0, number, "")), _tail(version))
    if version.post is not None:
        return (POST, _tail(version))
    if version.dev is not None:
        return (DEVELOPMENT, version.dev)
    return (FINAL,)


# --- What is no version ----------------------------------------------------------------------------


def _no_version(text: str) -> Reading:
    is_prerelease = _PRERELEASE_WORD.search(text) is not None
    package = None if _HASH.fullmatch(text) else _PACKAGE.fullmatch(text)
    if package is None:
        line = "" if _NUMBERS.match(text) else text
        return Reading(
            base=(0, _natural(text)), line=line, is_version=False, is_prerelease=is_prerelease
        )
    inner = _version(package["version"], is_variant=_is_variant)
    return Reading(
        base=(0, _natural(package["version"])) if inner is None else (1, inner.base),
        extra=() if inner is None else inner.extra,
        line=package["prefix"] + ("" if inner is None else inner.line),
        is_version=False,
        is_prerelease=is_prerelease or (inner is not None and inner.is_prerelease),
    )


def _natural(text: str) -> Key:
    """Runs of digits by value, text between them by code point, a number before text."""
    return tuple(_natural_run(run) for run in _NATURAL.findall(text))


def _natural_run(run: str) -> Key:
    if run[0] not in "0123456789":
        return (1, 0, run)
    # Length first, then digits: by value, without int() on a run of any length.
    digits = run.lstrip("0")
    return (0, len(digits), digits)
