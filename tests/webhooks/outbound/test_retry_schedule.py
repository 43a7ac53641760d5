"""What a receiver's answer means, and when to try again."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.outbound import retry_schedule
from webhooks.outbound.retry_schedule import AttemptOutcome, NextState

NOW = dt.datetime(2026, 1, 15, 10, 30, tzinfo=dt.UTC)


def evaluate(
    status: int | None, *, attempt: int = 1, chance: float = 0.5, retry_after: str | None = None
) -> retry_schedule.DeliveryDecision:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    outcome = AttemptOutcome(status=status, headers=headers, error="" if status else "No answer.")
    return retry_schedule.evaluate(outcome, attempt_count=attempt, now=NOW, chance=chance)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299, 409])
def test_done(status: int) -> None:
    assert evaluate(status).fate is NextState.DELIVERED


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504, 599])
def test_tried_again(status: int | None) -> None:
    assert evaluate(status).fate is NextState.RETRY


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 413, 422])
def test_dead_at_once(status: int) -> None:
    assert evaluate(status).fate is NextState.DEAD


def test_410_disables_the_endpoint() -> None:
    evaluation = evaluate(410)

    assert (evaluation.fate, evaluation.is_gone) == (NextState.DEAD, True)


def test_what_the_guard_refuses_is_dead_at_once() -> None:
    outcome = AttemptOutcome(error="The URL leads inside.", is_refused=True)

    evaluation = retry_schedule.evaluate(outcome, attempt_count=1, now=NOW)

    assert (evaluation.fate, evaluation.reason) == (NextState.DEAD, "The URL leads inside.")


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 60), (2, 300), (3, 1_800), (4, 7_200), (5, 43_200), (6, 86_400)],
)
def test_the_documented_schedule(attempt: int, seconds: int) -> None:
    assert evaluate(503, attempt=attempt).retry_in_seconds == seconds


def test_dead_after_the_last_attempt_with_the_reason() -> None:
    evaluation = evaluate(503, attempt=7)

    assert evaluation.fate is NextState.DEAD
    assert evaluation.reason == "The receiver answered 503. That was the last of 7 attempts."


@given(chance=st.floats(0, 1), attempt=st.integers(1, 6))
def test_jitter_stays_within_a_tenth(chance: float, attempt: int) -> None:
    seconds = evaluate(503, attempt=attempt, chance=chance).retry_in_seconds

    assert abs(seconds / retry_schedule.RETRY_SECONDS[attempt - 1] - 1) <= 0.1 + 1e-9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 1),
        ("999999999", 86_400),
        ("9" * 5000, 86_400),
        ("Thu, 15 Jan 2026 10:32:00 GMT", 120),
        ("Thu, 15 Jan 2026 10:00:00 GMT", 1),
    ],
)
def test_retry_after_is_honoured_within_a_day(text: str, seconds: int) -> None:
    assert evaluate(429, retry_after=text).retry_in_seconds == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5s", "١", "Thu, 99 Jan 2026 10:32:00 GMT"])
def test_a_retry_after_that_says_nothing_changes_nothing(text: str) -> None:
    assert evaluate(429, retry_after=text).retry_in_seconds == 60


@pytest.mark.parametrize(("text", "seconds"), [("0.65", 1), ("0", 1), ("2.5", 2.5), ("0.0001", 1)])
def test_retry_after_may_be_a_fraction(text: str, seconds: float) -> None:
    evaluation = evaluate(429, retry_after=text)

    assert (evaluation.fate, evaluation.retry_in_seconds) == (NextState.RETRY, seconds)


@pytest.mark.parametrize("status", [200, 202])
def test_a_failure_in_the_body_of_a_success_is_retried(status: int) -> None:
    answer = (
        "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"
        " with ContextId tcid=1"
    )

    failed = retry_schedule.evaluate(
        AttemptOutcome(status=status, answer=answer), attempt_count=1, now=NOW
    )
    taken = retry_schedule.evaluate(
        AttemptOutcome(status=status, answer="1"), attempt_count=1, now=NOW
    )

    assert (failed.fate, taken.fate) == (NextState.RETRY, NextState.DELIVERED)
