"""Events that belong together are one line."""

from __future__ import annotations

import datetime as dt

from registry.models import Event
from saga_project.console import event_groups
from tests.factories import NOW


def _event(type_: str, service: str, seconds_ago: int) -> Event:
    moment = NOW - dt.timedelta(seconds=seconds_ago)
    return Event(type=type_, service_name=service, occurred_at=moment)


def test_services_that_are_lost_together_are_one_line() -> None:
    events = [_event("service.expired", f"s{number}", number // 2) for number in range(25)]
    events.insert(7, _event("health.changed", "s3", 3))

    groups = event_groups.group(events, most=16)

    assert [(each.newest.type, each.count) for each in groups] == [
        ("service.expired", 25),
        ("health.changed", 1),
    ]
    assert (groups[0].named, groups[0].others) == (["s0", "s1", "s2"], 22)


def test_what_happens_later_is_a_line_of_its_own() -> None:
    events = [_event("service.expired", "a", 0), _event("service.expired", "a", 61)]

    assert [each.count for each in event_groups.group(events, most=16)] == [1, 1]


def test_no_more_lines_than_asked_for() -> None:
    events = [_event(f"x.{number}", "a", number) for number in range(9)]

    assert len(event_groups.group(events, most=4)) == 4
