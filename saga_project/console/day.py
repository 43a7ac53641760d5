"""The strip of a service's last day, from the events that are on record."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from registry.models import Event, Instance, Service
from saga_project.console import strip

MOST_EVENTS = 2000
EARLIER_EVENTS = 200


@dataclass(frozen=True)
class Day:
    cells: list[strip.Cell]
    shares: dict[str, float]
    start: dt.datetime
    end: dt.datetime

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(state, f"{state} {share:.1f} %") for state, share in self.shares.items()]


def of(service: Service, instances: list[Instance], *, now: dt.datetime) -> Day:
    """Return the last 24 hours, up to the next full minute (so that a page need not be drawn anew)."""
    end = now.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
    start = end - strip.WINDOW
    happenings = _happenings(service.name, start)
    spans = strip.spans(
        happenings, live_before=_live_before(instances, happenings), start=start, end=end
    )
    return Day(strip.cells(spans, start=start), strip.shares(spans), start, end)


def _happenings(name: str, start: dt.datetime) -> list[strip.StripEvent]:
    """The day's events, after the last ones from before it: they say how it began."""
    rows = Event.objects.filter(service_name=name, type__in=strip.TYPES)
    earlier = rows.filter(occurred_at__lt=start).order_by("-transaction", "-id")[:EARLIER_EVENTS]
    during = rows.filter(occurred_at__gte=start).order_by("-transaction", "-id")[:MOST_EVENTS]
    found = [
        strip.StripEvent(type=row.type, at=row.occurred_at, data=row.data)
        for row in (*during, *earlier)
    ]
    return sorted(found, key=lambda happening: happening.at)


def _live_before(instances: list[Instance], happenings: list[strip.StripEvent]) -> list[str]:
    """Return the instances that were alive before the first event on record."""
    arrived: dict[str, bool] = {}
    for happening in happenings:
        if (instance_id := happening.data.get("instance_id")) is not None:
            arrived.setdefault(instance_id, happening.type == "service.registered")
        for instance_id in happening.data.get("instances") or []:
            arrived.setdefault(instance_id, False)
    for instance in instances:
        if instance.state == Instance.State.LIVE:
            arrived.setdefault(instance.instance_id, False)
    return [instance_id for instance_id, is_new in arrived.items() if not is_new]
