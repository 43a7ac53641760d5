"""Waves: groups by label, updated one after the other, some of whose targets may fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from tests.updates.rollouts.test_strategies import LIMITS, Fleet, names
from updates import errors, operations
from updates.models import Job, Target
from updates.rollouts import strategies, strategy_options, waves
from updates.rollouts.strategies import Action, Move
from updates.rollouts.strategy_options import Options, RolloutWave


@pytest.fixture
def shop(transactional_db: None, scene: scenes.Scene) -> Service:
    """Version 1.0.0 runs on one early target and two late ones."""
    shop = scene.add_service("shop", targets=3)
    for target, wake in zip(shop.targets.all(), ("early", "late", "late"), strict=True):
        target.labels = {"wake": wake}
        target.save()
    job = run(scene.deploy(shop, "1.0.0"))
    assert job.status == Job.Status.SUCCEEDED, job.error
    return shop


def deploy(scene: scenes.Scene, shop: Service, *given: dict[str, Any]) -> Job:
    options = {"waves": list(given)}
    return run(operations.deploy(shop, scene.announce("2.0.0"), by="ci", options=options))


def versions(shop: Service) -> list[str | None]:
    return [crashing.current(Path(target.install_root)) for target in shop.targets.all()]


def failing(scene: scenes.Scene, number: int) -> Callable[[str], None]:
    """Return what a restart does to one target: version 2.0.0 does not run there."""

    def break_it(path: str) -> None:
        version = scene.folder / "shop" / str(number) / "current" / "VERSION"
        if path.endswith(f"/{number}") and version.read_text() == "2.0.0":
            version.write_text("bad")

    return break_it


EARLY = {"labels": {"wake": "early"}}
LATE = {"labels": {"wake": "late"}}


def test_each_promotion_begins_the_next_wave_only(scene: scenes.Scene, shop: Service) -> None:
    middle = {"labels": {"wake": "late", "zone": "a"}, "pause_seconds": None}
    shop.targets.filter(name="target-1").update(labels={"wake": "late", "zone": "a"})
    job = deploy(scene, shop, {**EARLY, "pause_seconds": None}, middle, LATE)
    after = [(job.status, versions(shop), job.pause_reason)]

    for _ in range(2):
        operations.promote(job.job_id, by="anna")
        run(job)
        after.append((job.status, versions(shop), job.pause_reason))

    assert after == [
        ("paused", ["2.0.0", "1.0.0", "1.0.0"], "Wave 1 of 3: 1 of 1 targets are updated"),
        ("paused", ["2.0.0", "2.0.0", "1.0.0"], "Wave 2 of 3: 1 of 1 targets are updated"),
        ("succeeded", ["2.0.0", "2.0.0", "2.0.0"], ""),
    ]


def test_a_wave_without_a_pause_goes_on_by_itself_and_the_rest_comes_last(
    scene: scenes.Scene, shop: Service
) -> None:
    job = deploy(scene, shop, LATE)

    assert (job.status, versions(shop)) == ("succeeded", ["2.0.0"] * 3), job.error
    switched = job.steps.filter(name="switch").values_list("target_name", flat=True)
    assert list(switched) == ["target-1", "target-2", "target-0"]


def test_a_failure_within_the_error_threshold_restores_that_target_and_goes_on(
    api: APIClient, scene: scenes.Scene, shop: Service
) -> None:
    scene.on_restart = failing(scene, 1)

    job = deploy(scene, shop, {**LATE, "error_threshold": "50%"}, EARLY)

    assert (job.status, versions(shop)) == ("succeeded", ["2.0.0", "1.0.0", "2.0.0"]), job.error
    answer = api.get(f"/api/v1/updates/jobs/{job.job_id}").json()
    assert answer["failed_targets"] == ["target-1"]
    assert "target-1" in answer["error"]
    assert list(job.steps.values_list("position", flat=True)) == list(range(job.steps.count()))
    current = dict(Target.objects.values_list("name", "current_version"))
    assert current == {"target-0": "2.0.0", "target-1": "1.0.0", "target-2": "2.0.0"}


def test_a_failure_beyond_the_error_threshold_rolls_all_back(
    scene: scenes.Scene, shop: Service
) -> None:
    scene.on_restart = failing(scene, 1)

    job = deploy(scene, shop, EARLY, {**LATE, "error_threshold": "49%"})

    assert (job.status, versions(shop)) == ("rolled_back", ["1.0.0"] * 3)


def test_a_wave_below_its_success_threshold_waits_for_a_decision(
    scene: scenes.Scene, shop: Service
) -> None:
    scene.on_restart = failing(scene, 1)
    job = deploy(scene, shop, {**LATE, "error_threshold": 1, "success_threshold": "80%"}, EARLY)
    waiting = (job.status, versions(shop), job.pause_reason)

    operations.promote(job.job_id, by="anna")
    run(job)

    assert waiting[:2] == ("paused", ["1.0.0", "1.0.0", "2.0.0"])
    assert "1 of 2 targets are updated, fewer than its success threshold" in waiting[2]
    assert (job.status, versions(shop)) == ("succeeded", ["2.0.0", "1.0.0", "2.0.0"])


def test_a_rollout_whose_targets_all_fail_does_not_succeed(
    scene: scenes.Scene, shop: Service
) -> None:
    shop.targets.filter(name="target-0").update(is_enabled=False)
    shop.targets.filter(name="target-2").update(is_enabled=False)
    scene.on_restart = failing(scene, 1)

    job = deploy(scene, shop, {**LATE, "error_threshold": "100%"})

    assert (job.status, versions(shop)) == ("rolled_back", ["1.0.0"] * 3)


def test_a_wave_selects_targets_by_a_selector_and_by_labels() -> None:
    options = strategy_options.read(
        {
            "waves": [
                {"selector": "wake=early,!slow"},
                {"labels": {"zone": "a"}, "selector": "wake!=early"},
            ]
        }
    )
    own = {
        "one": {"wake": "early"},
        "two": {"wake": "early", "slow": "yes"},
        "three": {"wake": "late", "zone": "a"},
        "four": {"wake": "early", "zone": "a", "slow": "yes"},
    }

    assert waves.group(own, options) == {1: ["one"], 2: ["three"], 3: ["two", "four"]}


def test_waves_belong_to_the_rolling_strategy(scene: scenes.Scene, shop: Service) -> None:
    with pytest.raises(errors.InvalidStrategy, match="'rolling'"):
        operations.deploy(
            shop, scene.announce("2.0.0"), by="ci", strategy="canary", options={"waves": [EARLY]}
        )


@pytest.mark.parametrize(
    "raw",
    [
        {"waves": []},
        {"waves": ["early"]},
        {"waves": [{"label": {}}]},
        {"waves": [{"labels": {"wake": 1}}]},
        {"waves": [{"selector": ""}]},
        {"waves": [{"selector": "wake in (early)"}]},
        {"waves": [{"selector": ["wake"]}]},
        {"waves": [{"error_threshold": "101%"}]},
        {"waves": [{"success_threshold": -1}]},
        {"waves": [{"pause_seconds": "long"}]},
        {"retries": 11},
        {"retry_delay_seconds": -1},
    ],
)
def test_refuses_waves_and_retries_that_make_no_sense(raw: dict[str, Any]) -> None:
    with pytest.raises(strategy_options.InvalidOptions):
        strategy_options.read(raw)


IN_PLACE = (Action.DRAIN, Action.SWITCH, Action.RESTART, Action.HEALTH, Action.UNDRAIN)
RINGS = st.lists(st.sampled_from(("a", "b", "c", "d")), min_size=1, max_size=12)


@given(RINGS, LIMITS, st.floats(0, 1))
def test_waves_never_take_more_out_of_service_than_promised(
    rings: list[str], limit: int | str, where: float
) -> None:
    options = Options(
        max_unavailable=limit, waves=tuple(RolloutWave(labels={"wake": wake}) for wake in "abc")
    )
    targets = names(len(rings))
    labels = {name: {"wake": wake} for name, wake in zip(targets, rings, strict=True)}
    moves = strategies.plan("rolling", targets, options, groups=waves.group(labels, options))
    failing = min(int(where * len(moves)), len(moves) - 1)
    forth, back = Fleet(targets), Fleet(targets)

    for move in moves:
        forth.make(move)
    for move in moves[: failing + 1]:
        back.make(move)
    for move in strategies.undo(moves[: failing + 1], options, targets=len(targets)):
        back.make(move)

    promised = len(targets) - strategies.max_unavailable(options, targets=len(targets))
    assert set(forth.running.values()) == {"new"}
    assert set(back.running.values()) == {"old"}
    assert min(forth.least_serving, back.least_serving) >= promised
    switched = [labels[move.target]["wake"] for move in moves if move.action is Action.SWITCH]
    assert switched == sorted(switched)


@given(RINGS, LIMITS, st.data())
def test_targets_that_fail_within_their_waves_keep_the_promise_too(
    rings: list[str], limit: int | str, data: st.DataObject
) -> None:
    """Each that fails goes back at once, while the others of its batch are out; the rest is updated."""
    options = Options(
        max_unavailable=limit, waves=tuple(RolloutWave(labels={"wake": wake}) for wake in "abc")
    )
    targets = names(len(rings))
    labels = {name: {"wake": wake} for name, wake in zip(targets, rings, strict=True)}
    moves = strategies.plan("rolling", targets, options, groups=waves.group(labels, options))
    fails_at = data.draw(st.dictionaries(st.sampled_from(targets), st.sampled_from(IN_PLACE)))
    fleet, done, failed = Fleet(targets), list[Move](), set[str]()

    for move in moves:
        if move.target in failed:
            continue
        fleet.make(move)
        done.append(move)
        if fails_at.get(move.target) is move.action:
            failed.add(move.target)
            mine = [each for each in done if each.target == move.target]
            for back in strategies.undo(mine, options, targets=1):
                fleet.make(back)

    promised = len(targets) - strategies.max_unavailable(options, targets=len(targets))
    assert fleet.least_serving >= promised
    assert not fleet.out
    assert {name for name in targets if fleet.running[name] == "old"} == failed == set(fails_at)
