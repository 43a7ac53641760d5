"""For every strategy, number of targets and failure point: never fewer serving than promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updates.rollouts import strategies, strategy_options
from updates.rollouts.strategies import Action, Move
from updates.rollouts.strategy_options import Options

IN_PLACE = (strategies.ROLLING, strategies.CANARY)
STRATEGIES = st.sampled_from(IN_PLACE)
LIMITS = st.one_of(st.integers(1, 12), st.integers(1, 100).map(lambda share: f"{share}%"))
OPTIONS = st.builds(
    Options,
    max_unavailable=LIMITS,
    is_reversed=st.booleans(),
    canary_steps=st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True).map(
        lambda weights: tuple(
            strategy_options.CanaryStep(weight=weight, pause_seconds=60)
            for weight in sorted(weights)
        )
    ),
)


@dataclass
class Fleet:
    """Effects of the moves on targets: the version on disk, the running one, and lookups."""

    targets: list[str]
    on_disk: dict[str, str] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    out: set[str] = field(default_factory=set)
    least_serving: int = 10**6

    def __post_init__(self) -> None:
        self.on_disk = dict.fromkeys(self.targets, "old")
        self.running = dict.fromkeys(self.targets, "old")

    def make(self, move: Move) -> None:
        if move.action is Action.DRAIN:
            self.out.add(move.target)
        elif move.action is Action.SWITCH:
            self.on_disk[move.target] = "new"
        elif move.action is Action.RESTORE:
            self.on_disk[move.target] = "old"
        elif move.action is Action.RESTART:
            assert move.target in self.out, "a serving target was restarted"
            self.running[move.target] = self.on_disk[move.target]
        elif move.action is Action.UNDRAIN:
            self.out.discard(move.target)
        self.least_serving = min(self.least_serving, len(self.targets) - len(self.out))


def names(count: int) -> list[str]:
    return [f"target-{number}" for number in range(count)]


@given(STRATEGIES, st.integers(1, 12), OPTIONS)
def test_a_rollout_that_goes_well_ends_all_new_and_keeps_its_promise(
    strategy: str, count: int, options: Options
) -> None:
    fleet = Fleet(names(count))

    for move in strategies.plan(strategy, fleet.targets, options):
        fleet.make(move)

    assert set(fleet.on_disk.values()) == set(fleet.running.values()) == {"new"}
    assert not fleet.out
    assert fleet.least_serving >= count - strategies.max_unavailable(options, targets=count)


@given(STRATEGIES, st.integers(1, 12), OPTIONS, st.floats(0, 1), st.booleans())
def test_a_rollout_that_fails_anywhere_ends_all_old_and_keeps_its_promise(
    strategy: str, count: int, options: Options, where: float, was_done: bool
) -> None:
    fleet = Fleet(names(count))
    moves = strategies.plan(strategy, fleet.targets, options)
    failing = min(int(where * len(moves)), len(moves) - 1)
    for move in moves[:failing]:
        fleet.make(move)
    if was_done:
        fleet.make(moves[failing])

    for move in strategies.undo(moves[: failing + 1], options, targets=count):
        fleet.make(move)

    assert set(fleet.on_disk.values()) == set(fleet.running.values()) == {"old"}
    assert not fleet.out
    assert fleet.least_serving >= count - strategies.max_unavailable(options, targets=count)


@given(STRATEGIES, st.integers(1, 12), OPTIONS)
def test_every_target_is_staged_before_any_is_touched(
    strategy: str, count: int, options: Options
) -> None:
    actions = [move.action for move in strategies.plan(strategy, names(count), options)]

    assert actions[:count] == [Action.STAGE] * count
    assert Action.STAGE not in actions[count:]


@pytest.mark.parametrize("strategy", IN_PLACE)
@pytest.mark.parametrize("count", range(1, 9))
def test_every_failure_point_has_a_rollback(strategy: str, count: int) -> None:
    options = Options()
    moves = strategies.plan(strategy, names(count), options)
    for failing in range(len(moves)):
        fleet = Fleet(names(count))
        for move in moves[: failing + 1]:
            fleet.make(move)

        for move in strategies.undo(moves[: failing + 1], options, targets=count):
            fleet.make(move)

        assert set(fleet.running.values()) == {"old"}
        assert fleet.least_serving >= count - strategies.max_unavailable(options, targets=count)


def test_nothing_is_undone_while_only_staging_has_begun() -> None:
    moves = strategies.plan("rolling", names(3), Options())

    assert strategies.undo(moves[:3], Options(), targets=3) == []


@given(st.integers(1, 12), OPTIONS)
def test_blue_green_prepares_one_slot_and_then_moves_all_lookups_in_one_step(
    count: int, options: Options
) -> None:
    """No target that serves is touched: those of the plan stand by, and the others are not in it."""
    moves = strategies.plan("blue-green", names(count), options)
    actions = [move.action for move in moves]

    swap = actions.index(Action.SWAP)
    for action in (Action.SWITCH, Action.RESTART, Action.HEALTH):
        assert {move.target for move in moves[:swap] if move.action is action} == set(names(count))
    assert moves[count] == Move(action=Action.SHARE, weight=0, wave=1)
    assert Action.DRAIN not in actions
    assert moves[-1] == Move(action=Action.HOLD, seconds=30)


@given(st.integers(1, 12), OPTIONS, st.floats(0, 1))
def test_blue_green_is_rolled_back_by_moving_the_lookups_alone(
    count: int, options: Options, where: float
) -> None:
    moves = strategies.plan("blue-green", names(count), options)
    begun = moves[: count + 2 + int(where * (len(moves) - count - 2))]

    undone = [move.action for move in strategies.undo(begun, options, targets=count)]

    assert undone == [Action.SWAP, Action.CLEAR_SHARE]


@given(st.integers(1, 12), OPTIONS, st.floats(0, 1))
def test_no_target_of_the_slot_that_serves_is_ever_out_of_service(
    count: int, options: Options, where: float
) -> None:
    """Wherever the job fails: one slot serves whole, and only targets of the other are touched."""
    moves = strategies.plan("blue-green", names(count), options)
    failing = min(int(where * len(moves)), len(moves) - 1)
    begun = moves[: failing + 1]
    undone = strategies.undo(begun, options, targets=count)

    assert _serving_after(moves, back=[]) == "green"
    assert _serving_after(begun, back=undone) == "blue"


def _serving_after(moves: list[Move], *, back: list[Move]) -> str:
    """Make the moves, which prepare green, then those back; return which slot serves in the end."""
    serving, has_share = "blue", False
    for move in moves:
        has_share = has_share or move == Move(action=Action.SHARE, weight=0, wave=1)
        if move.action in (Action.SWITCH, Action.RESTART):
            assert serving == "blue", "a target was touched while it served"
            assert has_share, "a target was started before it was kept out of the lookups"
        serving = "green" if move.action is Action.SWAP else serving
    for move in back:
        assert move.action in (Action.SWAP, Action.SHARE, Action.CLEAR_SHARE)
        serving = "blue" if move.action is Action.SWAP else serving
    return serving


def test_a_canary_takes_one_target_first_and_waits_as_its_preset_says() -> None:
    options = strategy_options.read({"preset": "Canary10Percent5Minutes"})

    moves = strategies.plan("canary", names(3), options)

    pause = next(place for place, move in enumerate(moves) if move.action is Action.PAUSE)
    assert moves[pause].seconds == 300
    assert {move.target for move in moves[3:pause]} == {"", "target-0"}
    assert [move.weight for move in moves if move.action is Action.SHARE] == [10]


@pytest.mark.parametrize(
    ("preset", "weights", "seconds"),
    [
        ("Canary10Percent5Minutes", [10], 300),
        ("CodeDeployDefault.ECSCanary10Percent15Minutes", [10], 900),
        ("Linear10PercentEvery1Minutes", list(range(10, 100, 10)), 60),
        ("CodeDeployDefault.LambdaLinear10PercentEvery10Minutes", list(range(10, 100, 10)), 600),
    ],
)
def test_knows_the_presets_of_codedeploy(preset: str, weights: list[int], seconds: int) -> None:
    steps = strategy_options.read({"preset": preset}).canary_steps

    assert [step.weight for step in steps] == weights
    assert {step.pause_seconds for step in steps} == {seconds}


@pytest.mark.parametrize(
    ("preset", "limit"),
    [
        ("OneAtATime", 1),
        ("CodeDeployDefault.HalfAtATime", "50%"),
        ("CodeDeployDefault.AllAtOnce", "100%"),
        ("CodeDeployDefault.ECSAllAtOnce", "100%"),
        ("CodeDeployDefault.LambdaAllAtOnce", "100%"),
    ],
)
def test_a_preset_of_codedeploy_may_say_how_many_at_once(preset: str, limit: int | str) -> None:
    assert strategy_options.read({"preset": preset}).max_unavailable == limit


def test_promotion_by_hand_waits_for_ever_at_every_step() -> None:
    steps = strategy_options.read(
        {"steps": [{"weight": 20, "pause_seconds": 5}], "auto_promote": False}
    ).canary_steps

    assert steps == (strategy_options.CanaryStep(weight=20, pause_seconds=None),)


@pytest.mark.parametrize(
    ("value", "seconds"), [(90, 90), ("90s", 90), ("2h", 7200), ("1d", 86_400)]
)
def test_an_expiry_is_a_number_of_seconds_or_a_duration(value: object, seconds: int) -> None:
    endless, timed = strategy_options.read(
        {
            "steps": [{"weight": 5}, {"weight": 50, "pause_seconds": 60}],
            "expires_after": value,
            "on_expiry": "promote",
        }
    ).canary_steps

    assert (endless.expires_after, endless.on_expiry) == (seconds, "promote")
    assert timed.expires_after is None


@pytest.mark.parametrize(
    ("limit", "targets", "expected"),
    [("25%", 3, 1), ("25%", 8, 2), ("100%", 5, 5), (2, 5, 2), (9, 5, 5), ("1%", 4, 1)],
)
def test_max_unavailable_is_rounded_down_but_never_to_nothing(
    limit: int | str, targets: int, expected: int
) -> None:
    assert strategies.max_unavailable(Options(max_unavailable=limit), targets=targets) == expected


@pytest.mark.parametrize(
    "raw",
    [
        {"max_unavailable": 0},
        {"max_unavailable": "0%"},
        {"max_unavailable": "101%"},
        {"max_unavailable": True},
        {"max_unavailable": "२५%"},
        {"order": "random"},
        {"preset": "Canary0Percent5Minutes"},
        {"preset": "Linear100PercentEvery1Minutes"},
        {"preset": "Canary10Percent0Minutes"},
        {"preset": "Banana"},
        {"preset": ["x"]},
        {"steps": []},
        {"steps": [{}]},
        {"steps": [{"weight": 100}]},
        {"steps": [{"weight": 50}, {"weight": 20}]},
        {"steps": [{"weight": 50, "pause_seconds": -1}]},
        {"steps": "10,20"},
        {"scale_down_delay_seconds": -1},
        {"progress_deadline_seconds": 0},
        {"abort_threshold": 0},
        {"speed": "fast"},
        {"expires_after": "soon"},
        {"expires_after": 0},
        {"expires_after": True},
        {"expires_after": "31d"},
        {"on_expiry": "shrug"},
        {"steps": [{"weight": 5, "pause_seconds": 9, "expires_after": 9}]},
    ],
)
def test_refuses_options_that_make_no_sense(raw: dict[str, Any]) -> None:
    with pytest.raises(strategy_options.InvalidOptions):
        strategy_options.read(raw)
