"""Make the deliveries of alerts that are due; what was sent is noted in the same transaction."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from itertools import groupby

from saga_project.shared import wakeups
from webhooks.models import Alert, ApprovalLink, Delivery, Endpoint, NotificationRule
from webhooks.outbound import approval_links, channels, notices
from webhooks.outbound.alerts import messages, schedule
from webhooks.outbound.channels.notification import Notification

logger = logging.getLogger(__name__)

MAX_ALERTS = 2_000
MAX_IDS = 200
#: Problems of deliveries, receivers and Saga itself: messages about them report no problem of their own.
ABOUT_DELIVERIES = ("delivery.", "receiver.", "saga.")


def send_due(*, now: dt.datetime) -> list[Delivery]:
    """Make the deliveries that are due, in the caller's transaction, and return them."""
    due = Alert.objects.filter(due_at__lte=now)
    made: list[Delivery] = []
    links: list[ApprovalLink] = []
    rules = NotificationRule.objects.filter(pk__in=due.values("rule")).order_by("pk")
    for rule in rules:
        alerts = _postponed_left_out(rule, _together(rule, now=now), now=now)
        made += _send(rule, alerts, links, now=now)
    if made:
        Delivery.objects.bulk_create(made)
        ApprovalLink.objects.bulk_create(links)
        wakeups.wake("webhooks.deliver")
    return made


def _together(rule: NotificationRule, *, now: dt.datetime) -> list[Alert]:
    """Return the rule's alerts that are due, and those that only wait for others to join them."""
    until = now + dt.timedelta(seconds=rule.group_seconds)
    rows = Alert.objects.filter(rule=rule, due_at__lte=until).order_by("due_at", "pk")
    return list(rows.select_for_update()[:MAX_ALERTS])


def _postponed_left_out(
    rule: NotificationRule, alerts: Sequence[Alert], *, now: dt.datetime
) -> list[Alert]:
    """Leave out what is quiet now; a rule that is off sends nothing."""
    kept, left = [], []
    for alert in alerts:
        alert.rule = rule
        moment = schedule.after_quiet(rule, now, severity=alert.severity)
        is_quiet = rule.digest == NotificationRule.Digest.OFF and moment > now
        if rule.is_enabled and not is_quiet:
            kept.append(alert)
            continue
        alert.due_at = moment if rule.is_enabled else None
        left.append(alert)
    Alert.objects.bulk_update(left, ["due_at"], batch_size=500)
    return kept


def _send(
    rule: NotificationRule,
    alerts: Sequence[Alert],
    links: list[ApprovalLink],
    *,
    now: dt.datetime,
) -> list[Delivery]:
    """Return the deliveries, and add the links that they carry to ``links``."""
    endpoints = notices.endpoints_for({alert.service_name for alert in alerts}, rule.channels)
    made = []
    for state, group in _by_state(alerts):
        for endpoint, theirs in _by_endpoint(rule, group, endpoints):
            for group_of_endpoint in _messages_of(endpoint, theirs):
                notification = messages.compose(rule, group_of_endpoint, state=state, now=now)
                offer = None
                if state != messages.ENDED:
                    offer = approval_links.offer(endpoint, group_of_endpoint, now=now)
                if offer is not None:
                    notification = offer.put_into(notification)
                made.append(_delivery(endpoint, notification, group_of_endpoint))
                for link in offer.links if offer is not None else ():
                    link.delivery = made[-1]
                    links.append(link)
    for alert in alerts:
        _note_sent(rule, alert, now=now)
    fields = ["due_at", "sent_at", "sent_severity"]
    Alert.objects.bulk_update(alerts, fields, batch_size=500)
    return made


def _by_state(alerts: Iterable[Alert]) -> list[tuple[str, list[Alert]]]:
    ordered = sorted(alerts, key=messages.state_of)
    return [(state, list(group)) for state, group in groupby(ordered, key=messages.state_of)]


def _by_endpoint(
    rule: NotificationRule, alerts: Iterable[Alert], endpoints: notices.Endpoints
) -> list[tuple[Endpoint, list[Alert]]]:
    """Return each endpoint with its alerts; a service may have a channel of its own."""
    found: dict[int, tuple[Endpoint, list[Alert]]] = {}
    of_service: dict[str, list[Endpoint]] = {}
    for (name, _), endpoint in endpoints.items():
        of_service.setdefault(name, []).append(endpoint)
    for alert in alerts:
        known = of_service.get(alert.service_name, [])
        if not known:
            logger.warning(
                "alert has no channel", extra={"rule": rule.pk, "service_name": alert.service_name}
            )
        for endpoint in known:
            found.setdefault(endpoint.pk, (endpoint, []))[1].append(alert)
    return list(found.values())


def _messages_of(endpoint: Endpoint, alerts: list[Alert]) -> list[list[Alert]]:
    """PagerDuty gets one message for each problem, with its key, and groups them itself.

    An approval that can be decided in the channel has a message of its own.
    """
    form = channels.format_of(endpoint.channel, url=endpoint.url, named=endpoint.format)
    if form == channels.PAGERDUTY:
        return [[alert] for alert in alerts]
    if not approval_links.is_offered(endpoint):
        return [alerts]
    alone = [alert for alert in alerts if alert.problem == approval_links.PROBLEM]
    others = [alert for alert in alerts if alert.problem != approval_links.PROBLEM]
    return [*([alert] for alert in alone), *([others] if others else [])]


def _delivery(endpoint: Endpoint, notification: Notification, alerts: Sequence[Alert]) -> Delivery:
    delivery = notices.new_delivery(endpoint, notification, kind=Delivery.Kind.NOTIFICATION)
    delivery.alert_ids = [alert.pk for alert in alerts][:MAX_IDS]
    delivery.is_about_deliveries = all(
        alert.event_type.startswith(ABOUT_DELIVERIES) for alert in alerts
    )
    return delivery


def _note_sent(rule: NotificationRule, alert: Alert, *, now: dt.datetime) -> None:
    alert.sent_at, alert.sent_severity = now, alert.severity
    is_open = alert.state == Alert.State.OPEN and alert.acknowledged_at is None
    alert.due_at = (
        schedule.repeat_due(rule, sent_at=now, severity=alert.severity) if is_open else None
    )
