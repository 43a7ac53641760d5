"""Read the events once, from a kept cursor, and open, update and end alerts.

Cursor and alerts are committed together: a process that is killed at any line has read a page, or has not.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import logging
from collections.abc import Iterable, Mapping, Sequence

from django.db.models import QuerySet

from registry.errors import CursorTooOld
from registry.events import log
from registry.models import Service
from saga_project.shared import labels, transitions
from webhooks.models import Alert, AlertCursor, NotificationRule, Severity
from webhooks.outbound.alerts import catalogue, flapping, schedule
from webhooks.outbound.alerts.catalogue import Meaning

logger = logging.getLogger(__name__)

PAGE = 500
Key = tuple[int, str, str, str]


def read_page(*, now: dt.datetime) -> int:
    """Read the next events in the caller's transaction, and return how many there were."""
    cursor = _cursor()
    try:
        page = log.following(log.Selection(), cursor, limit=PAGE)
    except CursorTooOld:
        logger.warning("alerts begin anew: the events after their cursor are gone")
        _keep(log.head())
        return 0
    if page.entries:
        apply(page.entries, now=now)
        _keep(page.cursor)
    return len(page.entries)


def _cursor() -> log.Cursor:
    """Return where to go on; the first time that is now, since nothing from before is news."""
    row = AlertCursor.objects.filter(pk=1).first()
    if row is not None:
        return log.Cursor(row.transaction, row.event)
    head = log.head()
    _keep(head)
    return head


def begin() -> None:
    """Read what happens from now on."""
    _cursor()


def _keep(cursor: log.Cursor) -> None:
    values = {"transaction": cursor.transaction, "event": cursor.event}
    AlertCursor.objects.update_or_create(pk=1, defaults=values)


def apply(entries: Sequence[log.Entry], *, now: dt.datetime) -> None:
    """Do what the events mean to the rules, in their order."""
    rules = list(NotificationRule.objects.filter(is_enabled=True).select_related("service"))
    book = AlertBook({entry.service_name for entry in entries})
    gone = _gone_services(entries)
    labelled = _labels(rules, entries)
    flaps = flapping.FlapBook({entry.service_name for entry in entries})
    for entry in entries:
        meaning = catalogue.read(entry.type, entry.data)
        if meaning.problem in flapping.PROBLEMS:
            flaps.note(entry.service_name, catalogue.whole_of(meaning.subject), at=now)
        ends = meaning.ends
        if entry.service_name in gone and entry.type == "service.deregistered":
            ends = tuple((problem, catalogue.ANY) for problem, _ in ends)
        for problem, subject in ends:
            goes_on = meaning.subject if problem == meaning.problem else None
            book.end(entry.service_name, problem, subject, goes_on=goes_on, at=now)
        for rule in rules:
            known = labelled.get(entry.service_name, {})
            if covers(rule, entry.type, entry.service_name, meaning.severity, known):
                book.note(rule, entry, meaning, now=now)
    book.silence(flaps)
    book.save()
    flaps.save()


def _gone_services(entries: Iterable[log.Entry]) -> set[str]:
    """Return the services that left as a whole, not with single instances."""
    names = {entry.service_name for entry in entries if entry.type == "service.deregistered"}
    if not names:
        return set()
    rows = Service.objects.filter(name__in=names, status=Service.Status.DEREGISTERED)
    return set(rows.values_list("name", flat=True))


def _labels(
    rules: Iterable[NotificationRule], entries: Iterable[log.Entry]
) -> dict[str, dict[str, str]]:
    """Return the labels of the services, where a rule asks for them."""
    if not any(rule.selector for rule in rules):
        return {}
    names = {entry.service_name for entry in entries}
    return dict(Service.objects.filter(name__in=names).values_list("name", "labels"))


def covers(
    rule: NotificationRule,
    kind: str,
    service_name: str,
    severity: str,
    known: Mapping[str, str],
) -> bool:
    """Return whether the rule covers such an event."""
    if Severity(severity).rank < Severity(rule.min_severity).rank:
        return False
    if rule.service is not None:
        if rule.service.name != service_name:
            return False
    elif not fnmatch.fnmatchcase(service_name, rule.service_glob):
        return False
    if rule.selector and not labels.selects(rule.selector, known):
        return False
    return any(fnmatch.fnmatchcase(kind, glob) for glob in rule.event_types)


class AlertBook:
    """The open alerts of some services, with what is to be saved of them."""

    def __init__(self, service_names: Iterable[str]) -> None:
        rows = _open_alerts(set(service_names))
        self._open: dict[Key, Alert] = {_key(row): row for row in rows}
        self._new: list[Alert] = []
        self._changed: dict[int, Alert] = {}

    def note(
        self, rule: NotificationRule, entry: log.Entry, meaning: Meaning, *, now: dt.datetime
    ) -> None:
        """Open an alert, or count another event of one that is open; a worse one is sent again."""
        key = (rule.pk, entry.service_name, meaning.problem or entry.type, meaning.subject)
        known = None if meaning.is_momentary else self._open.get(key)
        if known is None:
            row = _alert(rule, entry, meaning, now=now)
            self._new.append(row)
            if not meaning.is_momentary:
                self._open[key] = row
            return
        known.occurrences += 1
        if Severity(meaning.severity).rank > Severity(known.severity).rank:
            due_at = schedule.first_due(rule, opened_at=now, severity=meaning.severity)
            if known.sent_at is None and known.due_at is not None:
                # The delay does not begin anew each time that it becomes worse.
                due_at = min(due_at, known.due_at)
            known.due_at = due_at
            known.acknowledged_at, known.acknowledged_by = None, ""
        known.severity, known.text = meaning.severity, meaning.text
        known.event_type = entry.type
        self._note_change(known)

    def end(
        self, service_name: str, problem: str, subject: str, *, goes_on: str | None, at: dt.datetime
    ) -> None:
        """End the open alerts of a problem, but for the subject that goes on."""
        for key, row in list(self._open.items()):
            _, name, kind, about = key
            named = (about, catalogue.whole_of(about), catalogue.ANY)
            is_meant = subject in named and about != goes_on
            if (name, kind) == (service_name, problem) and is_meant:
                del self._open[key]
                _resolve(row, at=at)
                self._note_change(row)

    def silence(self, flaps: flapping.FlapBook) -> None:
        """Send nothing about what flaps: neither that it is ill again nor that it is well again."""
        for row in (*self._new, *self._changed.values()):
            is_damped = row.problem in flapping.PROBLEMS
            subject = catalogue.whole_of(row.subject)
            if is_damped and flaps.is_flapping(row.service_name, subject):
                row.due_at = None

    def _note_change(self, row: Alert) -> None:
        if row.pk is not None:
            self._changed[row.pk] = row

    def save(self) -> None:
        Alert.objects.bulk_create(self._new)
        fields = ["occurrences", "severity", "text", "event_type", "due_at"]
        fields += ["acknowledged_at", "acknowledged_by"]
        Alert.objects.bulk_update(
            self._changed.values(), [*fields, "state", "resolved_at"], batch_size=PAGE
        )


def _open_alerts(names: set[str]) -> QuerySet[Alert]:
    rows = Alert.objects.filter(state=Alert.State.OPEN, service_name__in=names)
    return rows.select_related("rule").select_for_update(of=("self",)).order_by("pk")


def _key(row: Alert) -> Key:
    return row.rule_id, row.service_name, row.problem, row.subject


def _alert(
    rule: NotificationRule, entry: log.Entry, meaning: Meaning, *, now: dt.datetime
) -> Alert:
    row = Alert(
        rule=rule,
        service_name=entry.service_name,
        problem=meaning.problem or entry.type,
        subject=meaning.subject,
        event_type=entry.type,
        severity=meaning.severity,
        text=meaning.text,
        is_momentary=meaning.is_momentary,
        opened_at=now,
        due_at=schedule.first_due(rule, opened_at=now, severity=meaning.severity),
    )
    if meaning.is_momentary:
        transitions.set_state(row, Alert.State.RESOLVED)
        row.resolved_at = now
    return row


def _resolve(row: Alert, *, at: dt.datetime) -> None:
    """End an alert; its end is sent if its beginning was, or would have been by now."""
    rule = row.rule
    transitions.set_state(row, Alert.State.RESOLVED)
    row.resolved_at = at
    if row.sent_at is None:
        is_short = (at - row.opened_at).total_seconds() < rule.delay_seconds
        row.due_at = None if is_short else row.due_at
    elif rule.sends_resolved:
        row.due_at = schedule.end_due(rule, resolved_at=at, severity=row.severity)
    else:
        row.due_at = None
