"""CloudEvents 1.0 over HTTP: structured, binary, and several in a batch; pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
The handshake by OPTIONS and the ways to send the secret are those of its HTTP 1.1 Web Hooks.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from saga_project.shared import api
from saga_project.shared.errors import InvalidRequest
from webhooks.inbound.senders import harbor, messages, oci
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "CloudEvents"
REQUIRED = ("specversion", "id", "source", "type")
BATCH = "application/cloudevents-batch+json"
_PUSH = re.compile(r"(push|pushed|publish|published|release|released)(\.v?[0-9]+)*$", re.IGNORECASE)


def read_body(raw: bytes, content_type: str, headers: Headers) -> dict[str, Any]:
    """Return the event in its structured form, or a batch's ``events``; raises InvalidRequest."""
    if content_type == BATCH:
        return {"events": [_checked(event) for event in api.read_json_objects(raw)]}
    if is_binary(headers):
        return _checked(_binary(raw, content_type, headers))
    return _checked(messages.json_body(raw, content_type, headers))


def is_binary(headers: Headers) -> bool:
    """Whether the attributes are in the headers, so that the body is only the data."""
    return "ce-specversion" in headers


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    missing = [name for name in REQUIRED if not messages.text(event.get(name))]
    if missing:
        raise InvalidRequest(
            f"A CloudEvent has the text attributes {', '.join(REQUIRED)}; missing: {', '.join(missing)}.",
            field=missing[0],
        )
    if not event["specversion"].startswith("1."):
        raise InvalidRequest("The CloudEvent's 'specversion' must be 1.0.", field="specversion")
    return event


def _binary(raw: bytes, content_type: str, headers: Headers) -> dict[str, Any]:
    attributes = {
        name.removeprefix("ce-"): urllib.parse.unquote(value)
        for name, value in headers.items()
        if name.startswith("ce-")
    }
    is_json = content_type in ("", "application/json") or content_type.endswith("+json")
    data: Any = api.read_json_object(raw) if is_json and raw.strip() else None
    return {**attributes, "datacontenttype": content_type, "data": data}


def read(_: Headers, document: Document) -> Message:
    if "specversion" in document:
        return _read_event(document)
    events = messages.items(document.get("events"))
    if not events:
        return Message(ignored="The batch holds no CloudEvent.")
    return Message(parts=tuple(_read_event(event) for event in events))


def _read_event(event: Document) -> Message:
    kind = messages.text(event.get("type"))
    data: Any = event.get("data")
    if _PUSH.search(kind) is None:
        return Message(
            ignored=f"Of CloudEvents those count whose type ends in 'pushed', 'published' or 'release';"
            f" this is '{messages.shown(kind)}'."
        )
    if messages.at(data, "version") and messages.at(data, "artifact_url"):
        return Message(release=dict(data))
    if messages.at(data, "resources"):
        return harbor.pushed(data)
    if messages.at(data, "target", "repository"):
        return oci.pushed(data)
    return Message(pushed=f"the event {messages.shown(kind)}")


def _id(_: Headers, document: Document) -> str:
    events = messages.items(document.get("events")) if "events" in document else [document]
    return messages.digest(
        "\n".join(f"{event.get('source')}\n{event.get('id')}" for event in events)
    )


SENDER = Sender(
    name="cloudevents",
    title=TITLE,
    read=read,
    body=read_body,
    takes_authorization=True,
    takes_access_token=True,
    message_id=_id,
    has_handshake=True,
)
