"""``config``: set a service's endpoints and secret, or the global ones."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from rest_framework import serializers

from saga_project.shared.api.fields import FlagField, NameField, UrlField
from webhooks.inbound import answers, bodies, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Route
from webhooks.operations import configuration


class ConfigShape(serializers.Serializer[Any]):
    service_name = NameField(
        required=False,
        allow_null=True,
        allow_blank=False,
        help_text="Absent for the global configuration.",
    )
    endpoints = serializers.DictField(
        child=UrlField(allow_blank=False),
        required=False,
        allow_null=True,
        help_text="Channel to URL; replaces the whole map.",
    )
    secret = bodies.OptionalTextField(
        help_text="At least 16 bytes. Kept when absent, removed when null."
    )
    require_timestamp = FlagField(
        help_text="Count only the timestamped signatures of Standard Webhooks."
    )
    accept_global_secret = FlagField(
        help_text="Allow the global secret to sign for a service that an account owns; takes admin:registry."
    )


def _name_of(call: Call) -> str:
    """Return the name in the body; without one the call concerns the global configuration."""
    document = call.document or {}
    return "" if document.get("service_name") is None else bodies.service_name(document)


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    data = bodies.read(ConfigShape, call.document)
    document = call.document or {}
    is_removal = "secret" in document and document["secret"] is None
    change = configuration.ConfigurationChange(
        endpoints=data.get("endpoints"),
        secret=None if is_removal else data.get("secret", configuration.UNSET),
        accepts_global_secret=data.get("accept_global_secret"),
        requires_timestamp=data.get("require_timestamp"),
    )
    configuration.evaluate(change)
    return journal.act_once(call, partial(_configure, call, change, now), now=now)


def _configure(
    call: Call, change: configuration.ConfigurationChange, now: dt.datetime
) -> CallAnswer:
    service = services.ensured(call) if call.service_name else None
    configuration.put(service, change, by=call.caller, now=now)
    what = (
        f"Webhook configuration updated for {call.service_name}"
        if call.service_name
        else "Global webhook configuration updated"
    )
    return CallAnswer(200, {"status": "configured", "message": what})


#: A signature of the secret does not allow to change the secret: that takes a token.
ROUTE = Route(
    name="config",
    operation_id="webhook_configure",
    summary="Configure a service's endpoints and secret, or the global ones",
    body=ConfigShape,
    answers={200: answers.ReceivedSerializer},
    scope="webhooks:manage",
    permission="webhooks.change_configuration",
    act=_act,
    name_of=_name_of,
    accepts_signature=False,
)
