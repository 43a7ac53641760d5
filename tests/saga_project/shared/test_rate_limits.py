from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django import Settings

from registry.identity import accounts
from registry.models import ServiceAccount, Token
from saga_project.shared import rate_limits


def test_accepts_a_burst_and_then_its_pace() -> None:
    buckets = rate_limits.Buckets(per_second=10, burst=3)

    assert [buckets.take("a", now=100.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", now=100.0) == pytest.approx(0.1, abs=1e-5)
    assert buckets.take("a", now=100.1) == 0
    assert buckets.take("a", now=100.1) > 0


@given(st.floats(min_value=0, max_value=1e8), st.sampled_from([0.001, 0.3, 7, 50]))
@example(1000.4, 0.001)
def test_whole_burst_passes_at_any_moment(now: float, per_second: float) -> None:
    buckets = rate_limits.Buckets(per_second=per_second, burst=3)

    assert [buckets.take("a", now=now) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", now=now) > 0


def test_throttled_caller_is_accepted_after_retry_after() -> None:
    buckets = rate_limits.Buckets(per_second=2, burst=1)
    buckets.take("a", now=100.0)

    wait = buckets.take("a", now=100.2)

    assert buckets.take("a", now=100.2 + wait) == 0


def test_callers_do_not_pay_for_each_other() -> None:
    buckets = rate_limits.Buckets(per_second=1, burst=1)
    buckets.take("a", now=100.0)

    assert buckets.take("a", now=100.0) > 0
    assert buckets.take("b", now=100.0) == 0


def test_forgets_callers_rather_than_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CALLERS", 100)
    buckets = rate_limits.Buckets(per_second=1, burst=5)

    for number in range(1000):
        buckets.take(str(number), now=100.0)

    assert len(buckets._buckets) <= 100


def test_busiest_caller_is_evicted_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_CALLERS", 100)
    buckets = rate_limits.Buckets(per_second=1, burst=5)
    for _ in range(5):
        buckets.take("busy", now=100.0)

    for number in range(1000):
        buckets.take(str(number), now=100.0)

    assert buckets.take("busy", now=100.0) > 0


def test_kept_bucket_counts_the_same_as_one_by_name() -> None:
    buckets = rate_limits.Buckets(per_second=1, burst=2)
    bucket = buckets.of("a", now=100.0)

    assert [bucket.take(100.0), buckets.take("a", now=100.0)] == [0, 0]
    assert bucket.take(100.0) == pytest.approx(1, abs=1e-5)
    assert buckets.take("a", now=100.0) == pytest.approx(1, abs=1e-5)
    assert buckets.wait_seconds("a", now=100.0) == pytest.approx(1, abs=1e-5)


@given(st.lists(st.floats(min_value=0, max_value=2), max_size=60))
def test_never_accepts_more_than_burst_and_pace(pauses: list[float]) -> None:
    buckets = rate_limits.Buckets(per_second=5, burst=4)
    now, passed = 1000.0, 0

    for pause in pauses:
        now += pause
        passed += buckets.take("a", now=now) == 0

    assert passed <= 4 + 5 * (now - 1000.0) + 1


def test_is_off_in_open_mode(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(rate_limits, "_calls", rate_limits.Buckets(per_second=0.001, burst=1))
    for _ in range(3):
        rate_limits.check("10.0.0.1", caller_key=None)

    settings.SAGA_AUTH = "required"

    rate_limits.check("10.0.0.1", caller_key=None)
    with pytest.raises(rate_limits.TooManyRequests) as refusal:
        rate_limits.check("10.0.0.1", caller_key=None)
    assert refusal.value.retry_after_seconds == 1000


def test_counts_by_token_and_not_by_address_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(rate_limits, "_calls", rate_limits.Buckets(per_second=0.001, burst=1))
    settings.SAGA_AUTH = "required"
    account = ServiceAccount(name="ci")
    one, two = (
        accounts.Caller(account=account, token=Token(pk=number), scopes=frozenset())
        for number in (1, 2)
    )

    rate_limits.check("10.0.0.1", caller_key=one.key)
    rate_limits.check("10.0.0.1", caller_key=two.key)
    with pytest.raises(rate_limits.TooManyRequests):
        rate_limits.check("10.0.0.2", caller_key=one.key)
