"""Picking an instance by what the caller asks: conditions, a preferred zone, a sticky key."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from registry import directory
from registry.directory import Criteria, ServiceEntry
from saga_project.shared import versions
from tests.registry.test_directory import entry_with

KEYS = [f"user-{number}" for number in range(2000)]


def picked(entry: ServiceEntry, **criteria: Any) -> str | None:
    row = directory.pick(entry, Criteria(**criteria))
    return row.instance_id if row is not None else None


def all_picked(entry: ServiceEntry, **criteria: Any) -> set[str | None]:
    return {picked(entry, **criteria) for _ in range(100)}


def by_key(entry: ServiceEntry) -> dict[str, str | None]:
    return {key: picked(entry, sticky_key=key) for key in KEYS}


def test_a_zone_is_preferred_while_an_instance_in_it_passes() -> None:
    entry = entry_with({"zone": "eu"}, {"zone": "us"}, {"zone": "us"})

    assert all_picked(entry, zone="us") == {"1", "2"}
    assert all_picked(entry, zone="asia") == {"0", "1", "2"}


def test_a_passing_instance_elsewhere_wins_over_a_failing_one_in_the_zone() -> None:
    entry = entry_with({"zone": "eu", "health": "critical"}, {"zone": "us"})

    assert all_picked(entry, zone="eu") == {"1"}


def test_a_zone_without_weight_is_left_out_while_another_has_some() -> None:
    assert all_picked(entry_with({"zone": "eu", "weight": 0}, {"zone": "us"}), zone="eu") == {"1"}


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"version": versions.parse_range(">=1.4,<2")}, {"1"}),
        ({"version": versions.parse_range(">=3")}, {None}),
        ({"capability": "grpc"}, {"2"}),
        ({"capability": "mcp"}, {None}),
        ({"excluded": frozenset({"0", "2"})}, {"1"}),
        ({"excluded": frozenset({"0", "1", "2"})}, {None}),
        ({"version": versions.parse_range(">=2"), "capability": "rest"}, {None}),
    ],
)
def test_only_instances_that_meet_the_conditions_are_picked(
    criteria: dict[str, Any], expected: set[str | None]
) -> None:
    entry = entry_with(
        {"version": ""},
        {"version": "1.10.0", "capabilities": ["rest"]},
        {"version": "2.0.0", "capabilities": ["grpc"]},
    )

    assert all_picked(entry, **criteria) == expected


def test_a_rollout_keeps_its_share_in_every_zone() -> None:
    entry = entry_with(
        {"version": "1", "zone": "eu"}, {"version": "2", "zone": "us"}, canary=["2", 20]
    )

    counts = Counter(picked(entry, zone="eu") for _ in range(2000))

    assert 0.14 < counts["1"] / 2000 < 0.26  # six standard deviations


def test_a_key_keeps_its_instance_and_keys_follow_the_weights() -> None:
    entry = entry_with({"weight": 3}, {"weight": 1}, {"weight": 0})
    first = by_key(entry)

    assert by_key(entry) == first
    counts = Counter(first.values())
    assert set(counts) == {"0", "1"}
    assert 0.69 < counts["0"] / len(KEYS) < 0.81


def test_only_the_keys_of_an_instance_that_leaves_move() -> None:
    four, three = entry_with({}, {}, {}, {}), entry_with({}, {}, {})
    before, after = by_key(four), by_key(three)

    moved = {key for key in KEYS if before[key] != after[key]}
    assert moved == {key for key in KEYS if before[key] == "3"}
    assert 0.19 < len(moved) / len(KEYS) < 0.31
    assert set(Counter(after[key] for key in moved)) == {"0", "1", "2"}


def test_a_key_leaves_an_instance_that_fails_and_returns_to_it() -> None:
    well = entry_with({}, {})
    key = next(key for key in KEYS if picked(well, sticky_key=key) == "0")

    assert picked(entry_with({"health": "critical"}, {}), sticky_key=key) == "1"
    assert picked(well, sticky_key=key) == "0"


def test_keys_move_to_a_new_version_only_while_its_share_grows() -> None:
    shares = []
    for percent in (0, 20, 60, 100):
        entry = entry_with({"version": "1"}, {"version": "2"}, canary=["2", percent])
        shares.append({key for key, instance in by_key(entry).items() if instance == "1"})

    assert shares[0] < shares[1] < shares[2] < shares[3] == set(KEYS)
    assert 0.15 < len(shares[1]) / len(KEYS) < 0.25
