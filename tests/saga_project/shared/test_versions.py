"""One order over SemVer, PEP 440 and the rest, held against the libraries that define the first two."""

from __future__ import annotations

import packaging.version
import pytest
import semver
from hypothesis import given, settings
from hypothesis import strategies as st

from saga_project.shared import versions

NUMBERS = st.integers(min_value=0, max_value=10**6)
IDENTIFIERS = st.one_of(
    NUMBERS.map(str), st.from_regex(r"[a-zA-Z][0-9a-zA-Z-]{0,5}", fullmatch=True)
)
PRERELEASES = st.lists(IDENTIFIERS, max_size=3).map(".".join)
SEMVERS = st.builds(
    lambda numbers, pre, build: ".".join(map(str, numbers)) + (f"-{pre}" if pre else "") + build,
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    PRERELEASES,
    st.sampled_from(["", "+7", "+build.1"]),
)
# Four numbers or a letter after a number: what SemVer cannot read.
PEP440S = st.builds(
    lambda numbers, pre, post, dev: ".".join(map(str, numbers)) + pre + post + dev,
    st.lists(NUMBERS, min_size=4, max_size=5),
    st.sampled_from(["", "a0", "a1", "b2", "rc1", "rc10"]),
    st.sampled_from(["", ".post0", ".post3"]),
    st.sampled_from(["", ".dev0", ".dev4"]),
)
ANYTHING = st.one_of(SEMVERS, PEP440S, st.text(min_size=1, max_size=20))


def _sign(value: bool, other: bool) -> int:
    return int(value) - int(other)


@given(SEMVERS, SEMVERS)
def test_semver_is_ordered_as_semver_says(one: str, other: str) -> None:
    expected = semver.Version.parse(one).compare(other)

    up = versions.is_newer(one, than=other, scheme="semver")
    down = versions.is_newer(other, than=one, scheme="semver")
    assert _sign(up, down) == expected


@given(PEP440S, PEP440S)
def test_pep440_is_ordered_as_packaging_says(one: str, other: str) -> None:
    left, right = packaging.version.Version(one), packaging.version.Version(other)

    assert versions.is_newer(one, than=other) == (left > right)
    assert versions.is_same(one, other) == (left == right)
    assert versions.is_prerelease(one) == left.is_prerelease


@given(ANYTHING, ANYTHING, ANYTHING)
@settings(max_examples=300)
def test_the_order_is_total_and_transitive(one: str, two: str, three: str) -> None:
    low, middle, high = sorted([one, two, three], key=versions.key)

    assert not versions.is_newer(low, than=high)
    assert not versions.is_newer(low, than=middle)
    assert versions.latest([high, low, middle]) in (one, two, three)


@given(ANYTHING)
def test_nothing_is_newer_than_itself(text: str) -> None:
    assert not versions.is_newer(text, than=text)
    assert versions.is_same(text, text)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("1.10.0", "1.9.0"),
        ("v2.0.0", "1.99.99"),
        ("1.0.0", "1.0.0-rc.1"),
        ("1.0.0-rc.10", "1.0.0-rc.9"),
        ("1.0.0rc2", "1.0.0rc1"),
        ("1.0.0", "1.0.0.dev3"),
        ("1.0.0.post1", "1.0.0"),
        ("1.2.3.4", "1.2.3"),
        ("2024.10.01", "2024.9.30"),
        ("0.0.1", "nightly"),
        ("build-10", "build-9"),
        ("r100", "r20"),
    ],
)
def test_is_newer(newer: str, older: str) -> None:
    assert versions.is_newer(newer, than=older)
    assert not versions.is_newer(older, than=newer)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1.4.0", "1.4.0"),
        ("1.4", "1.4.0"),
        ("1.4.0+3f2a91bc", "1.4.0"),
        ("1.0.0-rc.1", "1.0.0rc1"),
        ("5.6.15.Final", "5.6.15"),
        ("2.1.0.RELEASE", "2.1.0"),
        ("2025.04.0", "2025.4"),
    ],
)
def test_counts_as_the_same(one: str, other: str) -> None:
    assert versions.is_same(one, other)


@pytest.mark.parametrize(
    "text", ["1.0.0-rc.1", "1.0rc1", "2.0.dev1", "1.0.post1.dev2", "nightly-20240101"]
)
def test_is_a_prerelease(text: str) -> None:
    assert versions.is_prerelease(text)


@pytest.mark.parametrize("text", ["1.0.0", "1.0.post1", "2024-01-05", "prefix", "release-7"])
def test_is_no_prerelease(text: str) -> None:
    assert not versions.is_prerelease(text)


@pytest.mark.parametrize(
    ("wanted", "inside", "outside"),
    [
        (
            ">=1.4,<2",
            ["1.4", "1.4.0", "1.99.3", "v1.5"],
            ["1.3.9", "2.0.0", "2.0.0-rc.1", "nightly"],
        ),
        (">=1.4 <2", ["1.4.0"], ["2.0"]),
        ("<2.0.0-rc.2", ["2.0.0-rc.1"], ["2.0.0-rc.2", "2.0.0"]),
        ("^1.2.3", ["1.2.3", "1.9"], ["1.2.2", "2.0.0"]),
        ("^0.2.3", ["0.2.9"], ["0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("~1.4.2", ["1.4.9"], ["1.5.0"]),
        ("~1", ["1.9"], ["2.0"]),
        ("~=1.4", ["1.9"], ["2.0"]),
        ("~=1.4.2", ["1.4.9"], ["1.5"]),
        ("1.4.*", ["1.4", "1.4.7", "1.4.0-rc.1"], ["1.40", "1.5"]),
        ("!=1.4.*", ["1.5"], ["1.4.2"]),
        (">=1,!=1.5.1", ["1.5.0"], ["1.5.1"]),
        ("nightly", ["nightly"], ["1.0"]),
        ("", ["1.0", "nightly"], []),
        ("*", ["1.0", "nightly"], []),
    ],
)
def test_a_range_contains(wanted: str, inside: list[str], outside: list[str]) -> None:
    found = versions.parse_range(wanted)

    assert [text for text in inside if not found.allows(text)] == []
    assert [text for text in outside if found.allows(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        ">",
        ">=nightly",
        "~=1",
        ">=1,",
        ",",
        "<<1",
        "!=",
        "1.x.y.*",
        ">=1.4.*",
        "^" + "9" * 400,
        ">=" + "9" * 40,
    ],
)
def test_refuses_a_range_that_means_nothing(text: str) -> None:
    with pytest.raises(versions.RangeError):
        versions.parse_range(text)


@given(st.text(alphabet="0123456789.<>=!~^*xv ,-+rc", max_size=30), ANYTHING)
def test_any_text_is_a_range_or_refused(text: str, version: str) -> None:
    try:
        wanted = versions.parse_range(text)
    except versions.RangeError:
        return

    assert wanted.allows(version) in (True, False)
