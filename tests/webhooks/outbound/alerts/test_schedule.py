"""When a rule sends what it found, on the clocks of its time zone."""

from __future__ import annotations

import datetime as dt

import pytest

from webhooks.models import NotificationRule
from webhooks.outbound.alerts import schedule


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def rule(**fields: object) -> NotificationRule:
    times = {"quiet_from", "quiet_until", "digest_at"}
    read = {
        name: dt.time.fromisoformat(str(value)) if name in times else value
        for name, value in fields.items()
    }
    return NotificationRule(**{"time_zone": "Europe/Amsterdam", "group_seconds": 10, **read})


def test_a_problem_is_reported_after_its_delay_and_once_others_had_time_to_join() -> None:
    due = schedule.first_due(
        rule(delay_seconds=60), opened_at=at("2026-03-02T12:00:00Z"), severity="error"
    )

    assert due == at("2026-03-02T12:01:10Z")


@pytest.mark.parametrize(
    ("moment", "reported"),
    [
        ("2026-03-02T20:59:00Z", "2026-03-02T20:59:00Z"),  # 21:59 in Amsterdam
        ("2026-03-02T21:00:00Z", "2026-03-03T05:00:00Z"),
        ("2026-03-03T02:00:00Z", "2026-03-03T05:00:00Z"),
        ("2026-03-03T05:00:00Z", "2026-03-03T05:00:00Z"),
        # In the night of 29 March clocks jump from 2 to 3: 06:00 is an hour earlier in UTC.
        ("2026-03-28T23:30:00Z", "2026-03-29T04:00:00Z"),
        # In the night of 25 October they go back.
        ("2026-10-24T22:30:00Z", "2026-10-25T05:00:00Z"),
    ],
)
def test_quiet_hours_end_on_the_wall_clock(moment: str, reported: str) -> None:
    quiet = rule(quiet_from="22:00", quiet_until="06:00")

    assert schedule.after_quiet(quiet, at(moment), severity="error") == at(reported)


@pytest.mark.parametrize(
    ("begin", "end", "moment", "reported"),
    [
        # 02:15 comes twice in the night of 25 October, and each time is quiet; 02:40 is not.
        ("22:00", "02:30", "2026-10-25T00:15:00Z", "2026-10-25T00:30:00Z"),
        ("22:00", "02:30", "2026-10-25T00:40:00Z", "2026-10-25T00:40:00Z"),
        ("22:00", "02:30", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"),
        # 02:30 does not come in the night of 29 March: 03:10 is quiet all the same.
        ("02:30", "03:15", "2026-03-29T01:10:00Z", "2026-03-29T01:15:00Z"),
        ("01:00", "02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"),
    ],
)
def test_quiet_hours_that_begin_or_end_while_clocks_change(
    begin: str, end: str, moment: str, reported: str
) -> None:
    quiet = rule(quiet_from=begin, quiet_until=end)

    assert schedule.after_quiet(quiet, at(moment), severity="error") == at(reported)


def test_what_is_critical_does_not_wait_for_the_morning() -> None:
    night = at("2026-03-03T02:00:00Z")
    quiet = rule(quiet_from="22:00", quiet_until="06:00")

    assert schedule.after_quiet(quiet, night, severity="critical") == night


def test_quiet_hours_within_one_day() -> None:
    quiet = rule(quiet_from="12:00", quiet_until="13:00", time_zone="UTC")

    reported = [
        schedule.after_quiet(quiet, at(f"2026-03-02T{time}Z"), severity="info").time()
        for time in ("11:59", "12:00", "12:59", "13:00")
    ]

    assert reported == [dt.time(11, 59), dt.time(13), dt.time(13), dt.time(13)]


@pytest.mark.parametrize(
    ("digest", "after", "reported"),
    [
        ("daily", "2026-03-02T07:59:00Z", "2026-03-02T08:00:00Z"),  # a Monday, 09:00 in Amsterdam
        ("daily", "2026-03-02T08:00:00Z", "2026-03-03T08:00:00Z"),
        ("daily", "2026-03-28T12:00:00Z", "2026-03-29T07:00:00Z"),
        ("weekly", "2026-03-02T07:59:00Z", "2026-03-02T08:00:00Z"),
        ("weekly", "2026-03-02T08:00:00Z", "2026-03-09T08:00:00Z"),
        ("weekly", "2026-03-28T12:00:00Z", "2026-03-30T07:00:00Z"),
    ],
)
def test_a_digest_comes_at_its_time_of_the_wall_clock(
    digest: str, after: str, reported: str
) -> None:
    found = schedule.next_digest(rule(digest=digest, digest_at="09:00"), after=at(after))

    assert found == at(reported)


def test_without_a_period_nothing_is_repeated() -> None:
    sent_at = at("2026-03-02T12:00:00Z")

    once = schedule.repeat_due(rule(), sent_at=sent_at, severity="error")
    hourly = schedule.repeat_due(rule(repeat_every_seconds=3600), sent_at=sent_at, severity="error")

    assert (once, hourly) == (None, at("2026-03-02T13:00:00Z"))
