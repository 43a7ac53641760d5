"""When a rule tells what it found: delays, groups, quiet hours and digests on wall clocks. Pure."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from updates.policies import calendar
from webhooks.models import NotificationRule, Severity

MONDAY = 0


def first_due(rule: NotificationRule, *, opened_at: dt.datetime, severity: str) -> dt.datetime:
    """Return when a problem that began at ``opened_at`` is told."""
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=opened_at + dt.timedelta(seconds=rule.delay_seconds))
    wait = rule.delay_seconds + rule.group_seconds
    return after_quiet(rule, opened_at + dt.timedelta(seconds=wait), severity=severity)


def end_due(rule: NotificationRule, *, resolved_at: dt.datetime, severity: str) -> dt.datetime:
    """Return when the end of a problem is told."""
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=resolved_at)
    moment = resolved_at + dt.timedelta(seconds=rule.group_seconds)
    return after_quiet(rule, moment, severity=severity)


def repeat_due(
    rule: NotificationRule, *, told_at: dt.datetime, severity: str
) -> dt.datetime | None:
    """Return when an unresolved problem is told again; None where once is enough."""
    if rule.repeat_every_seconds is None:
        return None
    moment = told_at + dt.timedelta(seconds=rule.repeat_every_seconds)
    if rule.digest != NotificationRule.Digest.OFF:
        return next_digest(rule, after=moment - dt.timedelta(seconds=1))
    return after_quiet(rule, moment, severity=severity)


def after_quiet(rule: NotificationRule, moment: dt.datetime, *, severity: str) -> dt.datetime:
    """Return the moment, or the end of the quiet hours that hold it; what is critical does not wait."""
    if severity == Severity.CRITICAL or rule.quiet_from is None or rule.quiet_until is None:
        return moment
    if rule.quiet_from == rule.quiet_until:
        return moment
    zone = zoneinfo.ZoneInfo(rule.time_zone)
    today = moment.astimezone(zone).date()
    for offset in (-1, 0):
        day = today + dt.timedelta(days=offset)
        begin = calendar.instant(day, rule.quiet_from, zone)
        crosses_midnight = rule.quiet_until < rule.quiet_from
        last_day = day + dt.timedelta(days=int(crosses_midnight))
        end = calendar.instant(last_day, rule.quiet_until, zone)
        if begin <= moment < end:
            return end
    return moment


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
