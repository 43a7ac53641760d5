"""``update``: announce a release; the service's policy decides what follows. GitHub may send it as well."""

from __future__ import annotations

import datetime as dt
from functools import partial

import updates.operations
from registry import names
from saga_project.shared.api.fields import UrlField
from webhooks.inbound import answers, bodies, journal, services
from webhooks.inbound.calls import Call, CallAnswer, Route
from webhooks.inbound.senders import Message, github


class UpdateShape(bodies.ReleaseShape):
    artifact_url = UrlField(allow_blank=False)


def _name_of(call: Call) -> str:
    """Return the name in the body; in GitHub's payloads it is the repository's, if there is one."""
    document = call.document or {}
    if not github.is_native(call.headers, document):
        return bodies.service_name(document)
    name = github.repository_name(document)
    return "" if name is None else bodies.checked_name(name)


def _act(call: Call, now: dt.datetime) -> CallAnswer:
    document = call.document or {}
    if github.is_native(call.headers, document):
        message = github.read(call.headers, document)
        return journal.act_once(call, partial(_follow, call, message), now=now)
    data = bodies.read(UpdateShape, document)
    names.check_version(data["version"])
    return journal.act_once(call, partial(_announce, call, data), now=now)


def _announce(call: Call, data: bodies.Data) -> CallAnswer:
    service = services.ensured(call)
    updates.operations.announce(service, bodies.announcement(data), by=call.actor)
    return answers.release_received(service.name, data["version"])


def _follow(call: Call, message: Message) -> CallAnswer:
    """Follow what GitHub says of a release, as the service's source would read it."""
    if not message.notice:
        return answers.ignored(message.ignored)
    service = services.ensured(call)
    received = updates.operations.receive_notice(service, message.notice[0], by=call.actor)
    if received.ignored:
        return answers.ignored(received.ignored)
    return answers.release_received(service.name, received.version)


ROUTE = Route(
    name="update",
    operation_id="webhook_update",
    summary="Announce a release; the service's policy decides what follows",
    body=UpdateShape,
    answers={202: answers.AcceptedSerializer},
    scope="updates:deploy",
    permission="updates.add_job",
    act=_act,
    name_of=_name_of,
    needs_signature=True,
    takes_forms=True,
)
