"""Typed events: a schema for each type, as the log shows it and as subscribers get it; webhooks, callbacks.

The shapes of the data are those that the event constructors fill.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.plumbing import resolve_type_hint

import registry.events.event_types
import updates.event_constructors.event_types
import webhooks.event_constructors.event_types
from registry.events.event_types import EventType
from webhooks import signatures
from webhooks.models import Severity
from webhooks.outbound import outbox
from webhooks.outbound.channels import standard

Schema = dict[str, Any]

TYPES: tuple[EventType, ...] = (
    *registry.events.event_types.TYPES,
    *updates.event_constructors.event_types.TYPES,
    *webhooks.event_constructors.event_types.TYPES,
)
#: Operations whose body names the address that is called, and the names of these calls.
CALLBACKS = {"subscribe": "event", "change_subscription": "event_of_changed_subscription"}
HEADERS = (
    ("webhook-id", "The message; it stays the same when it is sent again.", "^msg_[0-9a-f]{32}$"),
    (
        "webhook-timestamp",
        f"Seconds since 1970; refuse what is older than {signatures.TOLERANCE_SECONDS} s.",
        "^[0-9]+$",
    ),
    (
        "webhook-signature",
        "Standard Webhooks: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64, one for each secret"
        " that is valid, with spaces.",
        "^v1,[A-Za-z0-9+/]+=*( v1,[A-Za-z0-9+/]+=*)*$",
    ),
)
ANSWERS = {
    "200": "Received; any 2xx says so.",
    "409": "Received before; it counts as received.",
    "410": "The receiver is gone: it is not called again.",
    "429": "Sent again later; `Retry-After` says when.",
    "503": "Sent again later, as after any 5xx, 408 or no answer. Any other status ends the delivery.",
}


def name_of(kind: EventType) -> str:
    """Return the name that the schemas of a type begin with: ``ServiceRegistered``."""
    return "".join(word.capitalize() for word in kind.name.replace(".", "_").split("_"))


def add(document: Schema) -> None:
    """Add the schemas of all types, the webhooks, and the callbacks of subscriptions."""
    schemas = document["components"]["schemas"]
    shown = schemas["Event"]
    schemas[_name(outbox.EventReference)] = _object(outbox.EventReference)
    for kind in TYPES:
        schemas[_name(kind.data)] = _object(kind.data)
        schemas[f"{name_of(kind)}Event"] = _event(kind, shown)
        schemas[f"{name_of(kind)}Message"] = _message(kind)
    schemas["Event"] = _any_of_types("Event", shown["description"])
    schemas["EventMessage"] = _any_of_types("Message", "An event as subscribers get it.")
    schemas["NotificationMessage"] = _notification()
    document["webhooks"] = {
        kind.name: {"post": _call(kind.name, kind.meaning, f"{name_of(kind)}Message")}
        for kind in TYPES
    }
    summary = "A notification, for channels with the format `standard`."
    document["webhooks"][standard.TYPE] = {
        "post": _call(standard.TYPE, summary, "NotificationMessage")
    }
    document["components"]["parameters"] = _headers()
    document["components"]["responses"] = {
        f"Receiver{status}": {"description": meaning} for status, meaning in ANSWERS.items()
    }
    _add_callbacks(document)


def _add_callbacks(document: Schema) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            if name := CALLBACKS.get(operation["operationId"]):
                call = _call(name, "An event of a service that is subscribed to.", "EventMessage")
                address = {"{$request.body#/callback_url}": {"post": call}}
                operation["callbacks"] = {"events": address}


def _name(shape: type) -> str:
    return shape.__name__


def _object(shape: type) -> Schema:
    schema: Schema = resolve_type_hint(shape)  # type: ignore[no-untyped-call]
    required = set(schema.pop("required", ()))  # in no order
    for part in schema.get("properties", {}).values():
        if part.pop("nullable", False):
            part["type"] = [part["type"], "null"]
    in_order = [name for name in schema.get("properties", {}) if name in required]
    return {**schema, "required": in_order} if in_order else schema


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _event(kind: EventType, shown: Schema) -> Schema:
    own = {"type": _literal(kind.name), "data": _ref(_name(kind.data))}
    properties = {**shown["properties"], **own}
    return {**shown, "description": kind.meaning, "properties": properties}


def _message(kind: EventType) -> Schema:
    data = {"allOf": [_ref(_name(kind.data)), _ref(_name(outbox.EventReference))]}
    return _envelope(kind.name, kind.meaning, data)


def _notification() -> Schema:
    data = _object(standard.NotificationData)
    data["properties"]["severity"] = {"type": "string", "enum": list(Severity.values)}
    return _envelope(standard.TYPE, "What a notification rule sends to a channel.", data)


def _envelope(name: str, meaning: str, data: Schema) -> Schema:
    return {
        "type": "object",
        "description": meaning,
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": _literal(name),
            "timestamp": {"type": "string", "format": "date-time"},
            "data": data,
        },
    }


def _literal(text: str) -> Schema:
    return {"type": "string", "const": text}


def _any_of_types(ending: str, meaning: str) -> Schema:
    references = {kind.name: _ref(f"{name_of(kind)}{ending}") for kind in TYPES}
    mapping = {name: reference["$ref"] for name, reference in references.items()}
    return {
        "description": meaning,
        "oneOf": list(references.values()),
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }


def _call(name: str, summary: str, body: str) -> Schema:
    """Return the call that a receiver gets."""
    return {
        "operationId": f"receive_{name.replace('.', '_')}",
        "summary": summary,
        "description": "The address of the receiver is called with it, signed where there is a secret.",
        "tags": ["events"],
        "security": [],
        "parameters": [
            {"$ref": f"#/components/parameters/{_header_name(header)}"} for header, _, _ in HEADERS
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}},
        "responses": {
            status: {"$ref": f"#/components/responses/Receiver{status}"} for status in ANSWERS
        },
    }


def _header_name(header: str) -> str:
    return "".join(word.capitalize() for word in header.split("-"))


def _headers() -> dict[str, Schema]:
    return {
        _header_name(header): {
            "name": header,
            "in": "header",
            "required": header != "webhook-signature",
            "description": meaning,
            "schema": {"type": "string", "pattern": pattern},
        }
        for header, meaning, pattern in HEADERS
    }
