"""One check of one instance: its verdict, its pace and its holder."""

from __future__ import annotations

import pytest

from registry.background.checking.probe import (
    CallResult,
    Definition,
    InstanceProbe,
    fraction_of,
    holder_of,
)
from registry.models import CheckVerdict

DEFINITION = Definition(
    service_id=1,
    kind="http",
    url="http://10.0.0.1/",
    port=None,
    interval_seconds=10,
    timeout_seconds=5,
    failures_before_critical=3,
    successes_before_passing=2,
    expected_status="200",
    json_pointer="",
    json_value=None,
    certificate_warning_days=14,
)
DAY = 86_400


def probe() -> InstanceProbe:
    return InstanceProbe(key=(1, "a"), definition=DEFINITION)


@pytest.mark.parametrize(
    ("results", "verdicts"),
    [
        ("--", "uu"),
        ("---", "uuc"),
        ("++", "up"),
        ("+-+-", "uuuu"),
        ("--+---", "uuuuuc"),
        ("---+-+", "uucccc"),
        ("---++", "uuccp"),
        ("++--+", "upppp"),
    ],
)
def test_verdict_changes_after_enough_results_in_a_row(results: str, verdicts: str) -> None:
    made, found = probe(), []
    for number, sign in enumerate(results):
        made.evaluate(CallResult(is_well=sign == "+", reason="no"), now=float(number))
        found.append(made.verdict[0])

    assert "".join(found) == verdicts


def test_only_a_new_verdict_is_reported_with_its_reason() -> None:
    made = probe()
    reported = [
        made.evaluate(CallResult(is_well=False, reason="refused"), now=1.0) for _ in range(5)
    ]

    assert reported == [False, False, True, False, False]
    assert (made.verdict, made.reason) == (CheckVerdict.CRITICAL, "refused")


def test_calls_are_spread_over_the_interval_and_never_far_from_it() -> None:
    firsts = [
        InstanceProbe(key=(1, f"i{n}"), definition=DEFINITION).first_delay() for n in range(1000)
    ]

    assert all(0 <= delay < 10 for delay in firsts)
    assert 70 < sum(delay < 1 for delay in firsts) < 140
    assert [probe().next_delay(chance=chance) for chance in (0, 0.5, 1)] == [9.0, 10.0, 11.0]


def test_checks_of_a_process_that_ends_move_and_no_others() -> None:
    keys = [(1, f"i{n}") for n in range(300)]
    before = {key: holder_of(key, ["x", "y", "z"]) for key in keys}
    after = {key: holder_of(key, ["x", "z"]) for key in keys}

    assert {before[key] for key in keys} == {"x", "y", "z"}
    assert all(after[key] == before[key] for key in keys if before[key] != "y")
    assert fraction_of((1, "a")) != fraction_of((1, "b"))


def test_a_certificate_is_reported_when_it_is_another_one_and_daily_before_it_expires() -> None:
    made = probe()
    soon = CallResult(is_well=True, certificate_expires_at=10.0 * DAY)
    late = CallResult(is_well=True, certificate_expires_at=100.0 * DAY)

    def notes(result: CallResult, at: float) -> bool:
        return made.notes_certificate(result, now=at, wall_clock=0.0)

    assert [notes(late, 0), notes(late, 1)] == [True, False]
    assert [notes(soon, 2), notes(soon, 3), notes(soon, 2 + DAY)] == [True, False, True]
    assert not notes(CallResult(is_well=True), 5)
