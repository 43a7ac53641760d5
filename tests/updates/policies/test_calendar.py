"""Maintenance windows and freezes on wall clocks, through the nights on which clocks change."""

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updates.policies import calendar

AMSTERDAM = zoneinfo.ZoneInfo("Europe/Amsterdam")
UTC = zoneinfo.ZoneInfo("UTC")
#: In 2026 the clocks of Amsterdam change on 29 March and 25 October, those of New York on 8 March and
#: 1 November; Lord Howe's by half an hour; Apia's never.
ZONES = [
    zoneinfo.ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Amsterdam",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    )
]


def _around(month: int, day: int, *, days: int) -> st.SearchStrategy[dt.datetime]:
    middle = dt.datetime(2026, month, day, tzinfo=dt.UTC)
    most = days * 86400
    return st.integers(-most, most).map(lambda seconds: middle + dt.timedelta(seconds=seconds))


MOMENTS = _around(7, 1, days=180)
#: Around the changes of the clocks in the zones above.
HOT_MOMENTS = st.one_of(
    *[
        _around(month, day, days=2)
        for month, day in ((3, 8), (3, 29), (4, 5), (10, 4), (10, 25), (11, 1))
    ]
)
WINDOWS = st.builds(
    calendar.Window,
    name=st.just("nightly"),
    weekdays=st.frozensets(st.integers(min_value=0, max_value=6)),
    opens_at=st.times(),
    duration=st.integers(min_value=1, max_value=10080).map(
        lambda minutes: dt.timedelta(minutes=minutes)
    ),
    zone=st.sampled_from(ZONES),
)
FREEZES = st.builds(
    lambda start, hours: calendar.FreezePeriod(
        "code freeze", start, start + dt.timedelta(hours=hours)
    ),
    HOT_MOMENTS,
    st.integers(min_value=1, max_value=1000),
)


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def _window(
    opens_at: str,
    minutes: int,
    *,
    zone: zoneinfo.ZoneInfo = AMSTERDAM,
    weekdays: frozenset[int] = frozenset(),
) -> calendar.Window:
    return calendar.Window(
        "nightly", weekdays, dt.time.fromisoformat(opens_at), dt.timedelta(minutes=minutes), zone
    )


def test_without_windows_and_freezes_every_moment_is_welcome() -> None:
    assert calendar.Calendar().evaluate(_at("2026-03-29T01:30:00Z")).is_open


def test_a_window_follows_the_wall_clock_over_a_change_of_clocks() -> None:
    nightly = calendar.Calendar(windows=(_window("22:00", 60),))

    winter = nightly.evaluate(_at("2026-03-28T12:00:00Z"))
    summer = nightly.evaluate(_at("2026-03-29T12:00:00Z"))

    assert winter.opens_at == _at("2026-03-28T21:00:00Z")
    assert summer.opens_at == _at("2026-03-29T20:00:00Z")


def test_a_window_within_the_hour_that_is_skipped_opens_after_it() -> None:
    nightly = calendar.Calendar(windows=(_window("02:30", 60),))

    found = nightly.evaluate(_at("2026-03-28T23:00:00Z"))

    assert found.opens_at == _at("2026-03-29T03:30:00+02:00")
    assert nightly.evaluate(_at("2026-03-29T04:29:00+02:00")).is_open
    assert not nightly.evaluate(_at("2026-03-29T04:30:00+02:00")).is_open


def test_a_window_within_the_hour_that_comes_twice_opens_once() -> None:
    nightly = calendar.Calendar(windows=(_window("02:30", 30),))

    assert nightly.evaluate(_at("2026-10-25T02:30:00+02:00")).is_open
    assert not nightly.evaluate(_at("2026-10-25T02:30:00+01:00")).is_open


def test_a_window_over_a_change_of_clocks_lasts_as_long_as_it_says() -> None:
    nightly = calendar.Calendar(windows=(_window("01:00", 180),))

    assert nightly.evaluate(_at("2026-03-29T04:59:00+02:00")).is_open
    assert not nightly.evaluate(_at("2026-03-29T05:00:00+02:00")).is_open
    assert not nightly.evaluate(_at("2026-10-25T03:00:00+01:00")).is_open


def test_a_window_past_midnight_belongs_to_the_day_it_opens_on() -> None:
    saturdays = calendar.Calendar(windows=(_window("23:00", 120, weekdays=frozenset({5})),))

    assert saturdays.evaluate(_at("2026-03-08T00:30:00+01:00")).is_open
    assert not saturdays.evaluate(_at("2026-03-09T00:30:00+01:00")).is_open


def test_freeze_outranks_an_open_window_and_names_the_next_one() -> None:
    frozen = calendar.Calendar(
        windows=(_window("20:00", 60, zone=UTC),),
        freezes=(
            calendar.FreezePeriod(
                "Christmas", _at("2026-12-24T00:00:00Z"), _at("2026-12-27T20:30:00Z")
            ),
        ),
    )

    found = frozen.evaluate(_at("2026-12-25T20:15:00Z"))

    assert (found.is_open, found.reason) == (False, "Frozen by 'Christmas'.")
    assert found.opens_at == _at("2026-12-27T20:30:00Z")


def test_freezes_that_follow_each_other_are_one() -> None:
    first = calendar.FreezePeriod("one", _at("2026-05-01T00:00:00Z"), _at("2026-05-02T00:00:00Z"))
    second = calendar.FreezePeriod("two", _at("2026-05-02T00:00:00Z"), _at("2026-05-03T00:00:00Z"))

    found = calendar.Calendar(freezes=(second, first)).evaluate(_at("2026-05-01T12:00:00Z"))

    assert found.opens_at == _at("2026-05-03T00:00:00Z")


def test_a_freeze_of_years_opens_nothing() -> None:
    for_good = calendar.FreezePeriod(
        "retired", _at("2026-01-01T00:00:00Z"), _at("2036-01-01T00:00:00Z")
    )

    assert (
        calendar.Calendar(freezes=(for_good,)).evaluate(_at("2026-05-01T00:00:00Z")).opens_at
        is None
    )


@given(st.lists(WINDOWS, max_size=3), st.lists(FREEZES, max_size=3), HOT_MOMENTS)
def test_the_promised_moment_is_welcome_and_none_before_it(
    windows: list[calendar.Window], freezes: list[calendar.FreezePeriod], now: dt.datetime
) -> None:
    found = calendar.Calendar(tuple(windows), tuple(freezes))
    verdict = found.evaluate(now)
    if verdict.is_open:
        assert verdict.opens_at is None
        return
    assert verdict.opens_at is not None
    assert verdict.opens_at > now
    assert found.evaluate(verdict.opens_at).is_open

    span = verdict.opens_at - now
    moments = (now + span * part / 40 for part in range(1, 40))
    assert not any(
        found.evaluate(moment).is_open for moment in moments if moment < verdict.opens_at
    )
    assert not found.evaluate(verdict.opens_at - dt.timedelta(microseconds=1)).is_open


@given(WINDOWS, HOT_MOMENTS)
def test_every_opening_lasts_as_long_as_it_says_in_real_time(
    window: calendar.Window, now: dt.datetime
) -> None:
    opens_at = window.opens_next(now)
    following = window.opens_next(opens_at)

    assert window.closes_at(opens_at) == opens_at + window.duration
    if following > opens_at + window.duration:
        assert window.closes_at(opens_at + window.duration - dt.timedelta(seconds=1))
    closed_at = opens_at + window.duration
    others = window.openings(around=closed_at, days_back=9, days_ahead=1)
    if not any(
        start != opens_at and start <= closed_at < start + window.duration for start in others
    ):
        assert window.closes_at(closed_at) is None


@given(WINDOWS, MOMENTS)
def test_a_daily_window_opens_once_each_day_of_the_wall_clock(
    window: calendar.Window, now: dt.datetime
) -> None:
    starts = list(window.openings(around=now, days_back=0, days_ahead=14))

    local_days = [start.astimezone(window.zone).date() for start in starts]
    assert local_days == sorted(set(local_days))
    assert all(earlier < later for earlier, later in itertools.pairwise(starts))


@given(st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)), st.times(), st.sampled_from(ZONES))
def test_the_second_reading_of_a_wall_clock_is_never_before_the_first(
    day: dt.date, time: dt.time, zone: zoneinfo.ZoneInfo
) -> None:
    first = calendar.instant(day, time, zone)
    second = calendar.instant(day, time, zone, is_second=True)

    assert abs(second - first) <= dt.timedelta(hours=1)
    is_ambiguous = first.astimezone(zone).time() == second.astimezone(zone).time()
    if is_ambiguous:
        assert second >= first


@pytest.mark.parametrize("zone", ZONES)
def test_a_window_that_is_always_open_is_open_through_every_change_of_clocks(
    zone: zoneinfo.ZoneInfo,
) -> None:
    always = calendar.Calendar(windows=(_window("00:00", 25 * 60, zone=zone),))
    start = _at("2026-01-01T12:00:00Z")

    assert all(
        always.evaluate(start + dt.timedelta(hours=hour)).is_open for hour in range(24 * 365)
    )
