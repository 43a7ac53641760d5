"""Acknowledge alerts: a person sees to it, so that it is not repeated."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q, QuerySet

from registry.identity.accounts import Caller
from updates.history import audit
from webhooks import errors
from webhooks.models import Alert
from webhooks.operations.replays import not_of_others
from webhooks.outbound.alerts import schedule


def visible_alerts(*, by: Caller | None) -> QuerySet[Alert]:
    """Return the alerts of services that no other account owns."""
    is_shown = Q() if by is not None and by.is_admin else not_of_others(by)
    return Alert.objects.filter(is_shown)


def acknowledge_alert(pk: int, *, by: str, now: dt.datetime) -> Alert:
    """Note that ``by`` takes care of an open alert, and send that where the alert was sent.

    The same again changes nothing. An alert that becomes worse is sent again, and can be acknowledged anew.
    Raises AlertNotFound, AlertEnded.
    """
    with transaction.atomic(durable=True):
        rows = Alert.objects.select_for_update(of=("self",)).select_related("rule")
        alert = rows.filter(pk=pk).first()
        if alert is None:
            raise errors.AlertNotFound(f"There is no alert {pk}.")
        if alert.state != Alert.State.OPEN or alert.is_momentary:
            raise errors.AlertEnded("There is nothing to acknowledge: the alert has ended.")
        if alert.acknowledged_at is not None:
            return alert
        alert.acknowledged_at, alert.acknowledged_by = now, by[:255]
        # An alert that was not sent yet is not sent any more; of one that was, the acknowledgement is.
        alert.due_at = None
        if alert.sent_at is not None:
            alert.due_at = schedule.news_due(alert.rule, now=now, severity=alert.severity)
        alert.save(update_fields=["acknowledged_at", "acknowledged_by", "due_at"])
        audit.record(
            "alert.acknowledged",
            actor=by,
            service_name=alert.service_name,
            data={"alert": alert.pk, "problem": alert.problem, "subject": alert.subject},
            at=now,
        )
    return alert
