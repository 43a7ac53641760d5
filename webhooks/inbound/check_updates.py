"""``check-updates``: ask the service's source for updates now."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from rest_framework import serializers

import updates.operations
from webhooks.inbound import bodies, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Route


class CheckUpdatesShape(bodies.NamedShape):
    pass


class CheckedSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()
    service_name = serializers.CharField()
    current_version = serializers.CharField(allow_null=True)
    latest_version = serializers.CharField(allow_null=True)
    update_available = serializers.BooleanField()
    warnings = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="What the source's last answer lacked; absent where nothing was.",
    )


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    """Ask the source, which is a call over the network, and only then open the transaction."""
    bodies.read(CheckUpdatesShape, call.document)
    if journal.first_of(call) is not None:
        return journal.repeat(call, now=now)
    result = updates.operations.check(services.known(call.service_name))
    return journal.act_once(call, partial(_answer, result), now=now)


def _answer(result: updates.operations.CheckResult) -> CallAnswer:
    return CallAnswer(
        200,
        {
            "status": "checked",
            "service_name": result.service_name,
            "current_version": result.current_version,
            "latest_version": result.latest_version,
            "update_available": result.is_update_available,
            **({"warnings": list(result.warnings)} if result.warnings else {}),
        },
    )


ROUTE = Route(
    name="check-updates",
    operation_id="webhook_check_updates",
    summary="Ask the service's source for updates now",
    body=CheckUpdatesShape,
    answers={200: CheckedSerializer},
    scope="updates:deploy",
    permission="updates.add_job",
    act=_act,
    calls_out=True,
    further_statuses=(502,),
)
