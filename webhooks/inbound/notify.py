"""``notify``: send a notification via a configured channel."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from rest_framework import serializers

from saga_project.shared.api.fields import TextField
from webhooks import errors
from webhooks.inbound import answers, bodies, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Route
from webhooks.models import InboundCall
from webhooks.operations import notifications
from webhooks.outbound import notices
from webhooks.outbound.channels.notification import SEVERITIES, Notification
from webhooks.outbound.retry_schedule import DeliveryDecision, NextState

MAX_MESSAGE_LENGTH = 65_536


class NotifyShape(bodies.NamedShape):
    channel = TextField()
    message = TextField(max_length=MAX_MESSAGE_LENGTH)
    severity = serializers.ChoiceField(choices=SEVERITIES, required=False, allow_null=True)


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    """Answer ``sent`` only when the receiver took the message, ``queued`` where it will be tried again."""
    data = bodies.read(NotifyShape, call.document)
    channel, severity = data["channel"], data.get("severity", "info")
    services.known(call.service_name)
    endpoint = notices.find_endpoint(call.service_name, channel)
    queued = CallAnswer(
        202, {"status": "queued", "message": f"Notification will be sent via {channel}"}
    )
    with transaction.atomic(durable=True):
        row = journal.store(call, now=now)
        if row is None:
            return journal.repeat(call, now=now)
        journal.keep_answer(row, queued)
        notification = Notification(call.service_name, data["message"], severity, now)
        claimed_delivery = notifications.queue(endpoint, notification)
    if claimed_delivery is None:
        return queued
    return _conclude(row, queued, notifications.send_now(claimed_delivery), channel=channel)


def _conclude(
    row: InboundCall, queued: CallAnswer, decision: DeliveryDecision | None, *, channel: str
) -> CallAnswer:
    if decision is None or decision.fate is NextState.RETRY:
        return queued
    if decision.fate is NextState.DELIVERED:
        answer = CallAnswer(200, {"status": "sent", "message": f"Notification sent via {channel}"})
    else:
        rejection = errors.NotificationRejected(
            f"The receiver behind channel '{channel}' did not take it. {decision.reason}"
        )
        answer = CallAnswer(
            rejection.status, {"error": rejection.error, "message": rejection.message}
        )
    journal.keep_answer(row, answer)
    return answer


ROUTE = Route(
    name="notify",
    operation_id="webhook_notify",
    summary="Send a notification via a configured channel",
    body=NotifyShape,
    answers={200: answers.ReceivedSerializer, 202: answers.ReceivedSerializer},
    scope="webhooks:send",
    permission="webhooks.change_configuration",
    act=_act,
    calls_out=True,
    further_statuses=(502,),
)
