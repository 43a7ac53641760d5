"""Events that belong together as one line: of one type, and not far from each other in time. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from registry.models import Event

#: Events within a minute of the newest of a group are listed with it.
SPAN = dt.timedelta(seconds=60)
NAMED = 3


@dataclass
class EventGroup:
    """Events of one type, the newest first."""

    events: list[Event]
    services: dict[str, None] = field(default_factory=dict)

    @property
    def newest(self) -> Event:
        return self.events[0]

    @property
    def count(self) -> int:
        return len(self.events)

    @property
    def named(self) -> list[str]:
        return list(self.services)[:NAMED]

    @property
    def others(self) -> int:
        """Return the number of services that are not named."""
        return max(len(self.services) - NAMED, 0)


def group(events: Iterable[Event], *, most: int) -> list[EventGroup]:
    """Return at most ``most`` groups of events that come newest first."""
    groups: list[EventGroup] = []
    open_groups: dict[str, EventGroup] = {}
    for event in events:
        known = open_groups.get(event.type)
        if known is None or known.newest.occurred_at - event.occurred_at > SPAN:
            if len(groups) == most:
                break
            known = open_groups[event.type] = EventGroup([])
            groups.append(known)
        known.events.append(event)
        if event.service_name:
            known.services[event.service_name] = None
    return groups
