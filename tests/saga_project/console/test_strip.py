from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from saga_project.console import strip
from saga_project.console.strip import StripEvent

END = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
START = END - strip.WINDOW


def happening(type_: str, *, hours: float, **data: Any) -> StripEvent:
    """Something that many hours before the end."""
    return StripEvent(type=type_, at=END - dt.timedelta(hours=hours), data=data)


def states(*happenings: StripEvent, live_before: tuple[str, ...] = ()) -> list[tuple[str, float]]:
    """Return (state, hours) of each span."""
    found = strip.spans(happenings, live_before=live_before, start=START, end=END)
    return [(span.state, (span.end - span.start) / dt.timedelta(hours=1)) for span in found]


def test_is_absent_until_it_registers() -> None:
    assert states(happening("service.registered", hours=6, instance_id="a")) == [
        ("absent", 18),
        ("up", 6),
    ]


def test_lives_all_day_where_nothing_happened() -> None:
    assert states(live_before=("a",)) == [("up", 24)]


def test_service_is_down_once_its_last_instance_expired() -> None:
    assert states(
        happening("service.expired", hours=10, instance_id="a"),
        happening("service.expired", hours=4, instance_id="b"),
        live_before=("a", "b"),
    ) == [("up", 20), ("expired", 4)]


def test_is_degraded_while_one_instance_does_not_pass() -> None:
    assert states(
        happening("health.changed", hours=5, instance_id="a", new="critical"),
        happening("health.changed", hours=3, instance_id="a", new="passing"),
        live_before=("a", "b"),
    ) == [("up", 19), ("degraded", 2), ("up", 3)]


def test_missed_heartbeats_degrade_a_service_until_the_next_heartbeat() -> None:
    assert states(
        happening("service.degraded", hours=8),
        happening("service.unreachable", hours=6),
        happening("service.recovered", hours=2),
        live_before=("a",),
    ) == [("up", 16), ("degraded", 2), ("expired", 4), ("up", 2)]


def test_what_happened_before_the_day_decides_how_it_begins() -> None:
    assert states(
        happening("service.registered", hours=30, instance_id="a"),
        happening("service.deregistered", hours=25, instances=["a"]),
    ) == [("expired", 24)]


def test_a_cell_shows_the_worst_of_its_quarter_of_an_hour() -> None:
    found = strip.spans(
        [
            happening("health.changed", hours=1.9, instance_id="a", new="warning"),
            happening("health.changed", hours=1.85, instance_id="a", new="passing"),
        ],
        live_before=("a",),
        start=START,
        end=END,
    )

    drawn = strip.cells(found, start=START)

    assert [cell.position for cell in drawn if cell.state == "degraded"] == [88]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(strip.TYPES),
            st.floats(0, 48),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["passing", "warning", "critical", "unreachable"]),
        ),
        max_size=30,
    )
)
def test_spans_fill_the_day_without_gaps(rows: list[tuple[str, float, str, str]]) -> None:
    happenings = sorted(
        (
            happening(type_, hours=hours, instance_id=name, new=new, instances=[name])
            for type_, hours, name, new in rows
        ),
        key=lambda item: item.at,
    )

    found = strip.spans(happenings, live_before=(), start=START, end=END)

    assert found[0].start == START
    assert found[-1].end == END
    assert all(left.end == right.start for left, right in itertools.pairwise(found))
    assert all(left.state != right.state for left, right in itertools.pairwise(found))
    assert round(sum(strip.shares(found).values()), 6) in (0, 100)
    assert len(strip.cells(found, start=START)) == strip.CELLS
