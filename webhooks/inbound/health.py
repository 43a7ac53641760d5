"""``health``: report a service's health."""

from __future__ import annotations

import datetime as dt
from functools import partial

from rest_framework import serializers

import registry.operations
from webhooks.inbound import answers, bodies, journal, reports, services
from webhooks.inbound.calls import Call, CallAnswer, Route

HEALTH_STATUSES = ("healthy", "degraded", "unhealthy")


class HealthShape(bodies.SecretShape):
    status = serializers.ChoiceField(choices=HEALTH_STATUSES)
    timestamp = bodies.TimestampField()
    details = bodies.DetailsField()


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    data = bodies.read(HealthShape, call.document)
    at = reports.time_of(data, now=now)
    return journal.act_once(call, partial(_record, call, data, at, now), now=now)


def _record(call: Call, data: bodies.Data, at: dt.datetime, now: dt.datetime) -> CallAnswer:
    service, details = services.known(call.service_name), data.get("details", {})
    if registry.operations.note_report(service.name, at=at, now=now):
        note = details.get("message")
        registry.operations.record_health(
            service.name,
            status=data["status"],
            at=now,
            note=note[:1000] if isinstance(note, str) else "",
        )
        reports.record_version(service, details, now=now)
    return answers.received(f"Health status updated for {service.name}")


ROUTE = Route(
    name="health",
    operation_id="webhook_health",
    summary="Report a service's health",
    body=HealthShape,
    answers={200: answers.ReceivedSerializer},
    scope="webhooks:send",
    permission="registry.change_service",
    act=_act,
    needs_signature=True,
)
