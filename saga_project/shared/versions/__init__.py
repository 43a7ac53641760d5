"""Versions as they are in the wild: schemes that read them, one comparison, and ranges."""

from saga_project.shared.versions.ranges import MAX_RANGE_LENGTH, Range, RangeError, parse_range
from saga_project.shared.versions.reading import Key
from saga_project.shared.versions.schemes import (
    AUTO,
    MAX_PATTERN_LENGTH,
    NAMES,
    PatternError,
    compile_pattern,
    is_newer,
    is_prerelease,
    is_same,
    is_same_line,
    is_version,
    key,
    latest,
    rank,
    read,
)

__all__ = [
    "AUTO",
    "MAX_PATTERN_LENGTH",
    "MAX_RANGE_LENGTH",
    "NAMES",
    "Key",
    "PatternError",
    "Range",
    "RangeError",
    "compile_pattern",
    "is_newer",
    "is_prerelease",
    "is_same",
    "is_same_line",
    "is_version",
    "key",
    "latest",
    "parse_range",
    "rank",
    "read",
]
