"""How much of the time a service was up, by its health checks.

An instance is up while all its checks pass, and a service while at least one of its instances is up. Time in
which nothing was checked counts for neither side.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from registry.models import CheckedInstance, CheckTransition, CheckVerdict, Service
from registry.operations import check_results

WINDOWS: Mapping[str, dt.timedelta] = {
    "24h": dt.timedelta(hours=24),
    "7d": dt.timedelta(days=7),
    "30d": dt.timedelta(days=30),
    "90d": dt.timedelta(days=90),
}
KEPT = max(WINDOWS.values())
#: Of more changes than these, the oldest do not count, and uptime begins after them.
MAX_TRANSITIONS = 20_000
UNKNOWN, PASSING, CRITICAL = CheckVerdict.UNKNOWN, CheckVerdict.PASSING, CheckVerdict.CRITICAL

#: Moments with the verdict that holds from each of them, in order.
Course = Sequence[tuple[dt.datetime, str]]


@dataclass(frozen=True, kw_only=True)
class Share:
    """``percent`` is None where nothing was checked."""

    percent: float | None
    checked_seconds: float


@dataclass(frozen=True, kw_only=True)
class Uptime:
    shares: Mapping[str, Share]
    results: Sequence[CheckedInstance]
    transitions: Sequence[CheckTransition]


def of(service: Service, *, now: dt.datetime, limit: int) -> Uptime:
    """Return the shares, what the checks say now, and the last ``limit`` changes."""
    results = list(
        CheckedInstance.objects.filter(check_made__service=service)
        .select_related("check_made")
        .order_by("check_made__name", "instance_id")
    )
    rows = CheckTransition.objects.filter(check_made__service=service, at__gte=now - KEPT)
    found = list(rows.select_related("check_made").order_by("-at", "-pk")[:MAX_TRANSITIONS])
    earliest = found[-1].at if len(found) == MAX_TRANSITIONS else now - KEPT
    courses = _courses(results, found, now=now)
    line = combined(courses)
    shares = {
        name: share_of(line, since=max(now - window, earliest), until=now)
        for name, window in WINDOWS.items()
    }
    return Uptime(shares=shares, results=results, transitions=found[:limit])


def _courses(
    results: Iterable[CheckedInstance], found: Sequence[CheckTransition], *, now: dt.datetime
) -> dict[str, list[Course]]:
    """Return the courses of all checks of each instance."""
    changes: dict[tuple[int, str], list[tuple[dt.datetime, str]]] = {}
    for row in reversed(found):
        key = (row.check_made_id, row.instance_id)
        course = changes.setdefault(key, [(dt.datetime.min.replace(tzinfo=dt.UTC), row.old)])
        course.append((row.at, row.new))
    courses: dict[str, list[Course]] = {}
    for result in results:
        if not result.check_made.is_enabled:
            continue
        course = changes.get((result.check_made_id, result.instance_id)) or [
            (result.since, result.verdict)
        ]
        if now - result.checked_at > check_results.gap_of(result.check_made):
            course = [*(each for each in course if each[0] <= result.checked_at)]
            course.append((result.checked_at, UNKNOWN))
        courses.setdefault(result.instance_id, []).append(course)
    return courses


def combined(courses: Mapping[str, Sequence[Course]]) -> list[tuple[dt.datetime, str]]:
    """Return the service's course out of those of its instances' checks."""
    moments = sorted(
        (at, instance_id, number, verdict)
        for instance_id, checks in courses.items()
        for number, course in enumerate(checks)
        for at, verdict in course
    )
    states = {instance_id: [UNKNOWN.value] * len(checks) for instance_id, checks in courses.items()}
    line: list[tuple[dt.datetime, str]] = []
    for at, instance_id, number, own in moments:
        states[instance_id][number] = own
        verdict = _best(_worst(each) for each in states.values())
        if line and line[-1][0] == at:
            line[-1] = (at, verdict)
        elif not line or line[-1][1] != verdict:
            line.append((at, verdict))
    return line


def _worst(verdicts: Sequence[str]) -> str:
    if CRITICAL in verdicts:
        return CRITICAL
    return UNKNOWN if UNKNOWN in verdicts else PASSING


def _best(verdicts: Iterable[str]) -> str:
    found = set(verdicts)
    if PASSING in found:
        return PASSING
    return CRITICAL if CRITICAL in found else UNKNOWN


def share_of(line: Course, *, since: dt.datetime, until: dt.datetime) -> Share:
    """Return how much of the known time between two moments the course was passing."""
    seconds = {PASSING.value: 0.0, CRITICAL.value: 0.0, UNKNOWN.value: 0.0}
    for number, (at, verdict) in enumerate(line):
        end = line[number + 1][0] if number + 1 < len(line) else until
        seconds[verdict] += max(0.0, (min(end, until) - max(at, since)).total_seconds())
    known = seconds[PASSING] + seconds[CRITICAL]
    percent = round(100 * seconds[PASSING] / known, 4) if known else None
    return Share(percent=percent, checked_seconds=round(known, 1))


def purge(*, now: dt.datetime) -> int:
    """Delete the changes that no window needs any more; what held before is the ``old`` of the next one."""
    deleted, _ = CheckTransition.objects.filter(at__lt=now - KEPT - dt.timedelta(days=1)).delete()
    return deleted
