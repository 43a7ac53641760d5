"""Pure: when changes are welcome. Maintenance windows and freezes on wall clocks, daylight saving included.

A window opens at a time of the wall clock and stays open for as many minutes as it says, whatever the
clock does meanwhile. A time that clocks jump over (02:30 where 02:00 becomes 03:00) is as long after the
jump as it would have been without it (03:30); of a time that comes twice, a window opens at the first.
A freeze that begins or ends in the hour that comes twice spans both.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass

#: No answer further away than this: nothing opens for a year.
HORIZON = dt.timedelta(days=366)
_MAX_HOPS = 1000


@dataclass(frozen=True)
class Window:
    """``weekdays`` of the day on which it opens, Monday is 0; empty means every day."""

    name: str
    weekdays: frozenset[int]
    opens_at: dt.time
    duration: dt.timedelta
    zone: zoneinfo.ZoneInfo

    def openings(
        self, *, around: dt.datetime, days_back: int, days_ahead: int
    ) -> Iterable[dt.datetime]:
        """Yield its openings, in UTC, of the local days around a moment, in order."""
        today = around.astimezone(self.zone).date()
        for offset in range(-days_back, days_ahead + 1):
            day = today + dt.timedelta(days=offset)
            if not self.weekdays or day.weekday() in self.weekdays:
                yield instant(day, self.opens_at, self.zone)

    def closes_at(self, now: dt.datetime) -> dt.datetime | None:
        """Return when the opening that holds ``now`` ends, None where it is closed."""
        days_back = self.duration.days + 2
        ends = [
            start + self.duration
            for start in self.openings(around=now, days_back=days_back, days_ahead=1)
            if start <= now < start + self.duration
        ]
        return max(ends, default=None)

    def opens_next(self, now: dt.datetime) -> dt.datetime:
        """Return its first opening after ``now``; every window has one within eight days."""
        coming = self.openings(around=now, days_back=1, days_ahead=9)
        return next(start for start in coming if start > now)


@dataclass(frozen=True)
class FreezePeriod:
    """From ``starts_at`` up to, not including, ``ends_at``; both in UTC."""

    name: str
    starts_at: dt.datetime
    ends_at: dt.datetime

    def covers(self, now: dt.datetime) -> bool:
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True)
class Verdict:
    """``opens_at`` is when changes are welcome next, None where that is now, or not within a year."""

    is_open: bool
    reason: str
    opens_at: dt.datetime | None = None


@dataclass(frozen=True)
class Calendar:
    """Without windows every moment is welcome, but for freezes."""

    windows: tuple[Window, ...] = ()
    freezes: tuple[FreezePeriod, ...] = ()

    def evaluate(self, now: dt.datetime) -> Verdict:
        reason = self._obstacle(now)
        if reason is None:
            return Verdict(is_open=True, reason="")
        return Verdict(is_open=False, reason=reason, opens_at=self._opens_next(now))

    def _obstacle(self, now: dt.datetime) -> str | None:
        frozen = [freeze for freeze in self.freezes if freeze.covers(now)]
        if frozen:
            return f"Frozen by '{frozen[0].name}'."
        if self.windows and not any(window.closes_at(now) for window in self.windows):
            return "No maintenance window is open."
        return None

    def _opens_next(self, now: dt.datetime) -> dt.datetime | None:
        here = now
        for _ in range(_MAX_HOPS):
            ends = [freeze.ends_at for freeze in self.freezes if freeze.covers(here)]
            if ends:
                here = max(ends)
            elif self.windows and not any(window.closes_at(here) for window in self.windows):
                here = min(window.opens_next(here) for window in self.windows)
            else:
                return here
            if here - now > HORIZON:
                return None
        return None


def instant(
    day: dt.date, time: dt.time, zone: zoneinfo.ZoneInfo, *, is_second: bool = False
) -> dt.datetime:
    """Return a wall clock's time in UTC; ``is_second`` picks the later one where it comes twice."""
    local = dt.datetime.combine(day, time.replace(tzinfo=None), tzinfo=zone)
    return local.replace(fold=int(is_second)).astimezone(dt.UTC)
