"""How a service did over the last day, drawn from its events. Pure: events in, spans out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

UP, DEGRADED, EXPIRED = "up", "degraded", "expired"
ABSENT = "absent"  # it had not registered yet
_WORST_FIRST = (EXPIRED, DEGRADED, UP, ABSENT)
_HEIGHTS = {UP: 40, DEGRADED: 26, EXPIRED: 10, ABSENT: 2}
WINDOW = dt.timedelta(hours=24)
CELLS = 96

#: The events that move the strip.
TYPES = (
    "service.registered",
    "service.deregistered",
    "service.expired",
    "service.degraded",
    "service.unreachable",
    "service.recovered",
    "health.changed",
)
_HEALTHY = {"passing", "healthy"}


@dataclass(frozen=True)
class StripEvent:
    """The fields of an event that the strip uses."""

    type: str
    at: dt.datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class Span:
    state: str
    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class Cell:
    """One piece of the drawn strip; the worst that happened in it."""

    state: str
    start: dt.datetime
    end: dt.datetime
    position: int

    #: The strip is drawn 960 wide and 40 high; the state shows in the height, too.
    @property
    def x(self) -> int:
        return self.position * 10

    @property
    def height(self) -> int:
        return _HEIGHTS[self.state]

    @property
    def y(self) -> int:
        return 40 - self.height


@dataclass
class _Service:
    """A service's state while its events are read, oldest first."""

    live: dict[str, bool] = field(default_factory=dict)
    was_seen: bool = False
    is_unreachable: bool = False
    is_degraded: bool = False

    @property
    def state(self) -> str:
        if not self.was_seen:
            return ABSENT
        if self.is_unreachable or not self.live:
            return EXPIRED
        if self.is_degraded or not all(self.live.values()):
            return DEGRADED
        return UP

    def take(self, happening: StripEvent) -> None:
        self.was_seen = True
        instance_id = happening.data.get("instance_id")
        match happening.type:
            case "service.registered":
                self.live[str(instance_id)] = True
            case "service.deregistered":
                for gone in happening.data.get("instances") or []:
                    self.live.pop(gone, None)
            case "service.expired":
                self.live.pop(str(instance_id), None)
            case "service.degraded":
                self.is_degraded = True
            case "service.unreachable":
                self.is_unreachable = True
            case "service.recovered":
                self.is_degraded = self.is_unreachable = False
            case "health.changed":
                self._take_health(instance_id, str(happening.data.get("new")))

    def _take_health(self, instance_id: str | None, new: str) -> None:
        if instance_id is None:
            self.is_unreachable = new == "unreachable"
            self.is_degraded = new not in _HEALTHY and not self.is_unreachable
        else:
            self.live[instance_id] = new in _HEALTHY


def spans(
    happenings: Iterable[StripEvent],
    *,
    live_before: Sequence[str],
    start: dt.datetime,
    end: dt.datetime,
) -> list[Span]:
    """Return what the service was from ``start`` to ``end``, without gaps.

    ``live_before`` are the instances that lived already before the first event (oldest first) that we have.
    """
    service = _Service(live=dict.fromkeys(live_before, True), was_seen=bool(live_before))
    found: list[Span] = []
    since, state = start, service.state
    for happening in happenings:
        service.take(happening)
        if happening.at <= start:
            state = service.state
        elif service.state != state:
            found.append(Span(state, since, happening.at))
            since, state = happening.at, service.state
    return [*found, Span(state, since, end)]


def cells(found: Sequence[Span], *, start: dt.datetime) -> list[Cell]:
    """Cut spans into the equal pieces that are drawn."""
    size = WINDOW / CELLS
    drawn = []
    for position in range(CELLS):
        begin = start + position * size
        states = {span.state for span in found if span.start < begin + size and span.end > begin}
        worst = next((state for state in _WORST_FIRST if state in states), EXPIRED)
        drawn.append(Cell(worst, begin, begin + size, position))
    return drawn


def shares(found: Sequence[Span]) -> dict[str, float]:
    """Return how many percent of the time since it first registered were spent in each state."""
    seconds = dict.fromkeys(_WORST_FIRST, 0.0)
    for span in found:
        seconds[span.state] += (span.end - span.start).total_seconds()
    known = {state: seconds[state] for state in (UP, DEGRADED, EXPIRED)}
    total = sum(known.values()) or 1
    return {state: 100 * spent / total for state, spent in known.items()}
