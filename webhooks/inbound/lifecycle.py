"""``lifecycle``: report that a service started, stopped, crashed or was deployed."""

from __future__ import annotations

import datetime as dt
from functools import partial

from rest_framework import serializers

import registry.operations
from registry import events
from registry.models import Service
from webhooks import event_constructors
from webhooks.inbound import answers, bodies, journal, reports, services
from webhooks.inbound.calls import Call, CallAnswer, Route

REPORTS_ITS_VERSION = frozenset({"started", "restarted", "deployed"})


class LifecycleShape(bodies.SecretShape):
    event = serializers.ChoiceField(choices=event_constructors.LIFECYCLE_EVENTS)
    timestamp = bodies.TimestampField()
    details = bodies.DetailsField()


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    data = bodies.read(LifecycleShape, call.document)
    at = reports.time_of(data, now=now)
    return journal.act_once(call, partial(_record, call, data, at, now), now=now)


def _record(call: Call, data: bodies.Data, at: dt.datetime, now: dt.datetime) -> CallAnswer:
    service, details = services.known(call.service_name), data.get("details", {})
    if service.status == Service.Status.DEREGISTERED:
        raise services.not_found(service.name)
    is_news = registry.operations.note_report(service.name, at=at, now=now)
    if is_news and data["event"] in REPORTS_ITS_VERSION:
        reports.record_version(service, details, now=now)
    events.publish(
        event_constructors.lifecycle(service.name, event=data["event"], details=details, at=at)
    )
    return answers.received(f"Lifecycle event processed for {service.name}")


ROUTE = Route(
    name="lifecycle",
    operation_id="webhook_lifecycle",
    summary="Report that a service started, stopped, crashed, ...",
    body=LifecycleShape,
    answers={200: answers.ReceivedSerializer},
    scope="webhooks:send",
    permission="registry.change_service",
    act=_act,
    needs_signature=True,
)
