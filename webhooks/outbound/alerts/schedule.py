"""When a rule sends what it found: delays, groups, quiet hours and digests on wall clocks. Pure."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from updates.policies import calendar
from webhooks.models import NotificationRule, Severity

MONDAY = 0


def first_due(rule: NotificationRule, *, opened_at: dt.datetime, severity: str) -> dt.datetime:
    """Return when a problem that began at ``opened_at`` is reported."""
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=opened_at + dt.timedelta(seconds=rule.delay_seconds))
    wait = rule.delay_seconds + rule.group_seconds
    return after_quiet(rule, opened_at + dt.timedelta(seconds=wait), severity=severity)


def end_due(rule: NotificationRule, *, resolved_at: dt.datetime, severity: str) -> dt.datetime:
    """Return when the end of a problem is reported."""
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=resolved_at)
    moment = resolved_at + dt.timedelta(seconds=rule.group_seconds)
    return after_quiet(rule, moment, severity=severity)


def news_due(rule: NotificationRule, *, now: dt.datetime, severity: str) -> dt.datetime:
    """Return when a change of an open problem is sent that waits for neither delay nor group."""
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=now)
    return after_quiet(rule, now, severity=severity)


def repeat_due(
    rule: NotificationRule, *, sent_at: dt.datetime, severity: str
) -> dt.datetime | None:
    """Return when an unresolved problem is reported again; None where once is enough."""
    if rule.repeat_every_seconds is None:
        return None
    moment = sent_at + dt.timedelta(seconds=rule.repeat_every_seconds)
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=moment - dt.timedelta(seconds=1))
    return after_quiet(rule, moment, severity=severity)


def after_quiet(rule: NotificationRule, moment: dt.datetime, *, severity: str) -> dt.datetime:
    """Return the moment, or the end of the quiet hours that hold it; what is critical does not wait."""
    if severity == Severity.CRITICAL or rule.quiet_from is None or rule.quiet_until is None:
        return moment
    zone = zoneinfo.ZoneInfo(rule.time_zone)
    local = moment.astimezone(zone)
    clock, begin, end = local.time(), rule.quiet_from, rule.quiet_until
    crosses_midnight = end < begin
    is_late = clock >= begin
    is_quiet = (is_late or clock < end) if crosses_midnight else (is_late and clock < end)
    if not is_quiet:
        return moment
    day = local.date() + dt.timedelta(days=int(crosses_midnight and is_late))
    return _next_instant(day, end, zone, after=moment)


def _next_instant(
    day: dt.date, time: dt.time, zone: zoneinfo.ZoneInfo, *, after: dt.datetime
) -> dt.datetime:
    """Return when the wall clock shows ``time``: of two moments the first later than ``after``.

    A time that the clock skips is as late as without the change of the clock.
    """
    twice = [calendar.instant(day, time, zone, is_second=is_second) for is_second in (False, True)]
    shown = [each for each in twice if each.astimezone(zone).time() == time and each > after]
    return min(shown, default=max(twice))


def next_digest(rule: NotificationRule, *, after: dt.datetime) -> dt.datetime:
    """Return the first moment of the rule's digest that is later than ``after``."""
    zone = zoneinfo.ZoneInfo(rule.time_zone)
    is_weekly = rule.digest == NotificationRule.Digest.WEEKLY
    day = after.astimezone(zone).date()
    while True:
        moment = calendar.instant(day, rule.digest_at, zone)
        if moment > after and (not is_weekly or day.weekday() == MONDAY):
            return moment
        day += dt.timedelta(days=1)
