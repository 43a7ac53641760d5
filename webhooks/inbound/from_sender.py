"""``from/{sender}/{service}``: foreign payloads, at an address that names the service."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from rest_framework import serializers

import updates.operations
from registry import names
from registry.models import Service
from webhooks import errors, signatures
from webhooks.inbound import answers, bodies, calls, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Credentials, Route
from webhooks.inbound.senders import SENDERS, Message, Sender
from webhooks.inbound.update import UpdateShape

PREFIX = "from/"


class ForeignShape(serializers.Serializer[Any]):
    """What the sender sends; each has its own fields."""


class FollowedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["accepted", "ignored"])
    message = serializers.CharField()
    service_name = serializers.CharField(required=False, help_text="Absent where it is ignored.")
    version = serializers.CharField(
        required=False, help_text="Of the release that was recorded; absent where a check follows."
    )


def find(name: str) -> tuple[Sender, Route]:
    """Return a sender and its route; raises SenderNotFound."""
    if name not in SENDERS:
        known = ", ".join(sorted(SENDERS))
        raise errors.SenderNotFound(f"There is no sender '{name[:64]}'. Known are: {known}.")
    return SENDERS[name], ROUTES[PREFIX + name]


# --- Proof and id ---------------------------------------------------------------------------------


def _credentials_of(sender: Sender, call: Call) -> Credentials:
    """Return the sender's own signature and secret beside those that Saga's routes accept."""
    headers = {scheme.value: call.headers[scheme.value] for scheme in _schemes(call)}
    own = next((name for name in sender.signature_headers if name in call.headers), None)
    if own is not None:
        headers[signatures.Scheme.BODY] = call.headers[own]
    return Credentials(
        signed=sender.signed(call.raw, call.media_type),
        headers={**call.headers, **headers},
        shown_secret=_shown_secret(sender, call),
    )


def _schemes(call: Call) -> list[signatures.Scheme]:
    return signatures.presented_schemes(call.headers)


def _shown_secret(sender: Sender, call: Call) -> str | None:
    if sender.secret_header and sender.secret_header in call.headers:
        return call.headers[sender.secret_header]
    if sender.takes_authorization and call.caller is None and "authorization" in call.headers:
        scheme, _, rest = call.headers["authorization"].strip().partition(" ")
        return rest.strip() if scheme.lower() == "bearer" else call.headers["authorization"].strip()
    if sender.takes_access_token and call.access_token:
        return call.access_token
    return None


def _message_id_of(sender: Sender, call: Call) -> str:
    if "webhook-id" in call.headers:
        return calls.own_message_id(call)
    found = sender.message_id(call.headers, call.document or {})
    return f"{sender.name}:{calls.checked_id(found, of='The message id')}" if found else ""


def _name_of(call: Call) -> str:
    return names.check_service_name(call.service_name)


# --- Effect ---------------------------------------------------------------------------------------


def _act(sender: Sender, call: Call, now: dt.datetime) -> CallAnswer:
    message = sender.read(call.headers, call.document or {})
    return journal.act_once(call, partial(_follow, sender, call, message), now=now)


def _follow(sender: Sender, call: Call, message: Message) -> CallAnswer:
    """Record the releases that the message describes; else have the service's own source asked."""
    if message.parts:
        return _follow_parts(sender, call, message.parts)
    if message.ignored:
        return answers.ignored(message.ignored)
    if message.release is not None:
        return _announce(call, message.release)
    if message.is_shared and (reason := _not_its_own(call.service_name, message)):
        return answers.ignored(reason)
    service = services.ensured(call) if message.notice else services.known(call.service_name)
    received = [
        updates.operations.receive_notice(service, notice, by=call.actor)
        for notice in message.notice
    ]
    versions = [one.version for one in received if one.version]
    if versions:
        return answers.release_received(service.name, versions[-1])
    reason = next((one.ignored for one in received), "")
    if any(one.is_foreign for one in received):
        return answers.ignored(reason)
    if not message.pushed and not any(one.has_other_source for one in received):
        return answers.ignored(reason)
    return _check(service, sender, message, reason)


def _follow_parts(sender: Sender, call: Call, parts: tuple[Message, ...]) -> CallAnswer:
    """Follow each message of a batch; all of them act, or, where one is refused, none."""
    given = [_follow(sender, call, part) for part in parts]
    taken = [answer for answer in given if answer.body["status"] != "ignored"]
    counted = f"{len(taken)} of {len(given)} events count"
    shown = taken[-1] if taken else given[-1]
    message = f"{counted}: {shown.body['message']}"
    return CallAnswer(shown.status, {**shown.body, "message": message})


def _announce(call: Call, release: dict[str, Any]) -> CallAnswer:
    data = bodies.read(UpdateShape, {**release, "service_name": call.service_name})
    names.check_version(data["version"])
    service = services.ensured(call)
    updates.operations.announce(service, bodies.announcement(data), by=call.actor)
    return answers.release_received(service.name, data["version"])


def _not_its_own(service_name: str, message: Message) -> str:
    """Return why a message of a webhook for many repositories does not concern the service."""
    own = message.place.rpartition("/")[2]
    if own.lower() == service_name.lower():
        return ""
    if updates.operations.reads_from(service_name, kind=message.kind):
        return ""
    return (
        f"The webhook sends for many repositories, and '{message.place[:128]}' is not known to be that of"
        f" '{service_name}': name it in a source of the service."
    )


def _check(service: Service, sender: Sender, message: Message, reason: str) -> CallAnswer:
    obstacle = updates.operations.request_check(service, kind=message.kind, place=message.place)
    if obstacle:
        return answers.ignored(reason or obstacle)
    what = message.pushed or "a release"
    return CallAnswer(
        202,
        {
            "status": "accepted",
            "message": f"{sender.title} announced {what}; the source of {service.name} is asked for updates",
            "service_name": service.name,
        },
    )


def _route_of(sender: Sender) -> Route:
    return Route(
        name=PREFIX + sender.name,
        operation_id="webhook_from_sender",
        summary="Take a foreign service's webhook: record its release, or ask the service's source",
        body=ForeignShape,
        answers={202: FollowedSerializer},
        scope="updates:deploy",
        permission="updates.add_job",
        act=partial(_act, sender),
        name_of=_name_of,
        credentials_of=partial(_credentials_of, sender),
        message_id_of=partial(_message_id_of, sender),
        needs_signature=True,
        is_secret_enough=True,
    )


ROUTES: dict[str, Route] = {
    route.name: route for route in (_route_of(sender) for sender in SENDERS.values())
}
