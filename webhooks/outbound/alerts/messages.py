"""One message out of several alerts. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from webhooks.models import Alert, NotificationRule, Severity
from webhooks.outbound.channels.notification import Notification

#: Of so many services and problems a message has a line each; of the others it has the number.
MAX_LINES = 20
MAX_SUBJECTS = 5
MAX_DETAILS = 100

BEGAN, STILL, ENDED, ACKNOWLEDGED = "open", "still_open", "resolved", "acknowledged"
_PREFIXES = {BEGAN: "", STILL: "Still: ", ENDED: "Resolved: ", ACKNOWLEDGED: "Acknowledged by {}: "}


def state_of(alert: Alert) -> str:
    """Return the state that a due alert's message reports: begun, going on, acknowledged or ended."""
    if alert.sent_at is None:
        return BEGAN
    if alert.state == Alert.State.RESOLVED:
        return ENDED
    if Severity(alert.severity).rank > Severity(alert.sent_severity).rank:
        return BEGAN
    is_news = alert.acknowledged_at is not None and alert.acknowledged_at >= alert.sent_at
    return ACKNOWLEDGED if is_news else STILL


def compose(
    rule: NotificationRule, alerts: Sequence[Alert], *, state: str, now: dt.datetime
) -> Notification:
    """Return the message of alerts of one rule that are in one state."""
    names = sorted({alert.service_name for alert in alerts})
    lines = _lines(alerts, has_names=len(names) > 1)
    text = lines[0] if len(lines) == 1 else f"{rule.name}:\n" + "\n".join(lines)
    worst = max((Severity(alert.severity) for alert in alerts), key=lambda each: each.rank)
    return Notification(
        names[0] if len(names) == 1 else "",
        _prefix(alerts, state=state) + text,
        Severity.INFO if state == ENDED else worst,
        now,
        key=f"saga-alert-{alerts[0].pk}" if len(alerts) == 1 else "",
        details={
            "state": state,
            "rule": rule.name,
            "count": len(alerts),
            "alerts": [_document(alert) for alert in alerts[:MAX_DETAILS]],
        },
    )


def _prefix(alerts: Sequence[Alert], *, state: str) -> str:
    people = sorted({alert.acknowledged_by for alert in alerts})
    return _PREFIXES[state].format(", ".join(people[:MAX_SUBJECTS]))


def _lines(alerts: Sequence[Alert], *, has_names: bool) -> list[str]:
    """Return a line for each service and problem, the worst first."""
    groups: dict[tuple[str, str], list[Alert]] = {}
    for alert in sorted(alerts, key=lambda each: -Severity(each.severity).rank):
        groups.setdefault((alert.service_name, alert.problem), []).append(alert)
    lines = [_line(group, has_name=has_names) for group in groups.values()]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"and {len(lines) - MAX_LINES} more"]
    return lines


def _line(group: Sequence[Alert], *, has_name: bool) -> str:
    first = group[0]
    about = f"{first.service_name}: " if has_name and first.service_name else ""
    if len(group) == 1:
        is_over = first.state == Alert.State.RESOLVED and first.sent_at is None
        suffix = " It has ended since." if is_over and not first.is_momentary else ""
        return f"{about}{first.text}{suffix}"
    subjects = [alert.subject for alert in group if alert.subject]
    shown = ", ".join(subjects[:MAX_SUBJECTS])
    more = f" and {len(subjects) - MAX_SUBJECTS} more" if len(subjects) > MAX_SUBJECTS else ""
    named = f" ({shown}{more})" if shown else ""
    return f"{about}{len(group)} × {first.problem}{named}. {first.text}"


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.pk,
        "service_name": alert.service_name or None,
        "problem": alert.problem,
        "subject": alert.subject or None,
        "event_type": alert.event_type,
        "severity": alert.severity,
        "state": alert.state,
        "acknowledged_by": alert.acknowledged_by or None,
        "message": alert.text,
        "opened_at": alert.opened_at.isoformat(),
    }
