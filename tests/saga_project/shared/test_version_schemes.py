"""Version strings as registries publish them, and the schemes that read them."""

from __future__ import annotations

import pytest

from saga_project.shared import versions

IN_THE_WILD = [
    ("auto", "17.11-alpine", "17.9-alpine"),
    ("auto", "16.2.0-debian-12-r10", "16.2.0-debian-12-r9"),
    ("auto", "16.2.1-debian-12-r0", "16.2.0-debian-12-r10"),
    ("auto", "6.2.0-r2", "6.2.0-r1"),
    ("auto", "1.0.0-rc10", "1.0.0-rc9"),
    ("auto", "1.0.0", "1.0.0-rc10"),
    ("auto", "2025.01.0-alpine", "2024.12.1-alpine"),
    ("auto", "2025.04.0-alpine", "2025.01.0-alpine"),
    ("auto", "2025.04.0", "2024.12.1"),
    ("auto", "1.2.3-14-gabc1234", "1.2.3"),
    ("auto", "1.2.3-15-gabc1234", "1.2.3-14-gdef5678"),
    ("auto", "1.2.4", "1.2.3-14-gabc1234"),
    ("auto", "1.2.3-rc.1-2-gabc1234", "1.2.3-rc.1"),
    ("auto", "1.2.3", "1.2.3-rc.1-2-gabc1234"),
    ("auto", "11.2.2+security-01", "11.2.2"),
    ("auto", "11.2.2+security-02", "11.2.2+security-01"),
    ("auto", "11.2.3", "11.2.2+security-01"),
    ("auto", "11.0.21+10", "11.0.21+9"),
    ("auto", "1.2.3.10", "1.2.3.9"),
    ("auto", "5.6.15.Final", "5.6.14.Final"),
    ("auto", "5.6.15.Final", "5.6.15.CR1"),
    ("auto", "5.6.15.SP1", "5.6.15.Final"),
    ("auto", "6.0.0.RELEASE", "6.0.0.M2"),
    ("auto", "6.0.0.RC1", "6.0.0.M2"),
    ("auto", "1.5.0", "1.5.0-SNAPSHOT"),
    ("auto", "33.1.0-jre", "33.0.0-jre"),
    ("auto", "payment-v1.1.0", "payment-v1.0.0"),
    ("auto", "release-10", "release-9"),
    ("auto", "1.0.0", "main"),
    ("auto", "1.0.0", "3f2a91bc"),
    ("semver", "1.0.0-alpha.beta", "1.0.0-alpha.1"),
    ("pep440", "1.0.post1", "1.0"),
    ("pep440", "1.0", "1.0.dev3"),
    ("pep440", "1!0.5", "2.0"),
    ("calver", "2024-02-01", "2024-01-31"),
    ("calver", "24.10", "24.04.2"),
    ("calver", "2025.01.0-alpine", "2024.12.1-alpine"),
    ("debian", "1:2.3-1", "2.4-1"),
    ("debian", "2.3-1", "2.3-1~deb12u1"),
    ("debian", "2.3-1+deb12u2", "2.3-1+deb12u1"),
    ("maven", "1.0", "1.0-SNAPSHOT"),
    ("maven", "5.6.15.Final", "5.6.14.Final"),
    ("maven", "1.0-beta-2", "1.0-alpha-10"),
    ("docker", "18.0-bookworm", "17.11-bookworm"),
    ("docker", "2.0-weirdvariant", "1.0-weirdvariant"),
    ("docker", "3.0-beta2", "3.0-beta1"),
]
WITHOUT_ORDER = [
    ("auto", "18.0-bookworm", "17.9-alpine"),
    ("auto", "18.0", "17.9-alpine"),
    ("auto", "18.0-alpine", "17.9"),
    ("auto", "zeta-v0.1.0", "payment-v1.0.0"),
    ("auto", "2.0.0", "payment-v1.0.0"),
    ("auto", "payment-v2.0.0", "1.0.0"),
    ("auto", "main", "develop"),
    ("auto", "main", "1.0.0"),
    ("auto", "release-9", "build-8"),
    ("semver", "1.0.0+2", "1.0.0+1"),
    ("semver", "1.2.3.5", "1.2.3.4"),
    ("calver", "6.15.0", "6.14.0"),
    ("docker", "latest", "1.0"),
    ("docker", "2.0-weirdvariant", "1.0-other"),
]


@pytest.mark.parametrize(("scheme", "newer", "older"), IN_THE_WILD)
def test_is_newer(scheme: str, newer: str, older: str) -> None:
    assert versions.is_newer(newer, than=older, scheme=scheme)
    assert not versions.is_newer(older, than=newer, scheme=scheme)


@pytest.mark.parametrize(("scheme", "one", "other"), WITHOUT_ORDER)
def test_has_no_order(scheme: str, one: str, other: str) -> None:
    assert not versions.is_newer(one, than=other, scheme=scheme)


@pytest.mark.parametrize(
    ("scheme", "text", "expected"),
    [
        ("auto", "17.9-alpine", False),
        ("auto", "16.2.0-debian-12-r9", False),
        ("auto", "1.2.3-14-gabc1234", False),
        ("auto", "5.6.15.Final", False),
        ("auto", "5.6.15.CR1", True),
        ("auto", "1.0-SNAPSHOT", True),
        ("auto", "1.0.0-rc.1-alpine", True),
        ("auto", "payment-v1.0.0-rc.1", True),
        ("docker", "1.0-anything", False),
        ("docker", "1.0-rc1-anything", True),
        ("maven", "1.0-M2", True),
        ("maven", "1.0.RELEASE", False),
        ("debian", "2.3-1~rc1", True),
    ],
)
def test_prereleases_by_scheme(scheme: str, text: str, expected: bool) -> None:
    assert versions.is_prerelease(text, scheme) is expected


def test_of_several_variants_the_newest_of_all_is_the_latest() -> None:
    tags = ["17.9-alpine", "18.0-bookworm", "17.11-alpine", "latest"]

    assert versions.latest(tags, "docker") == "18.0-bookworm"


def test_a_floating_tag_stands_behind_the_version_that_it_names() -> None:
    assert versions.latest(["1.3", "1.3.0", "1"], "docker") == "1.3.0"


@pytest.mark.parametrize(
    ("wanted", "scheme", "inside", "outside"),
    [
        (">=17,<18", "docker", ["17.11-alpine", "17.9"], ["18.0-alpine", "latest"]),
        ("<2000", "auto", ["6.15.0"], ["2021.12.14"]),
        ("11.2.2", "auto", ["11.2.2", "11.2.2+security-01"], ["11.2.3"]),
        ("==11.2.2+security-01", "auto", ["11.2.2+security-01"], ["11.2.2"]),
        (">=5.6,<6", "maven", ["5.6.15.Final"], ["6.0.0.Final"]),
        (">=2.3", "debian", ["2.3-1"], ["2.2-1"]),
        (">=2024", "calver", ["2024-02-01"], ["2023-12-31", "6.0"]),
    ],
)
def test_a_range_holds_in_its_scheme(
    wanted: str, scheme: str, inside: list[str], outside: list[str]
) -> None:
    found = versions.parse_range(wanted)

    assert [text for text in inside if not found.allows(text, scheme)] == []
    assert [text for text in outside if found.allows(text, scheme)] == []


PATTERN = (
    r"RELEASE\.(?<major>\d{4})-(?<minor>\d\d)-(?<patch>\d\d)T[0-9-]+Z(-(?<compatibility>\w+))?"
)


def test_a_pattern_with_named_groups_reads_any_tag() -> None:
    old, new = "RELEASE.2024-01-05T10-00-00Z", "RELEASE.2024-11-07T00-52-20Z"

    assert versions.is_newer(new, than=old, scheme="regex", pattern=PATTERN)
    assert not versions.is_newer(f"{new}-fips", than=old, scheme="regex", pattern=PATTERN)
    assert not versions.is_newer("2.0.0", than=old, scheme="regex", pattern=PATTERN)


def test_a_pattern_limits_any_scheme() -> None:
    assert versions.latest(["1.4.0", "1.5.1"], "auto", r"1\.\d*[02468]\..*") == "1.4.0"


@pytest.mark.parametrize("pattern", ["(", r"(?<what>\d+)", "a" * 256])
def test_refuses_a_pattern_that_cannot_be_used(pattern: str) -> None:
    with pytest.raises(versions.PatternError):
        versions.compile_pattern(pattern)
