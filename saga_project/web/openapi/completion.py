"""Finishes the document: shared components, tags, servers; without the docstrings of base classes."""

from __future__ import annotations

import inspect
from typing import Any

from django.conf import settings
from drf_spectacular.hooks import postprocess_schema_enum_id_removal

from saga_project.shared import api
from saga_project.shared.api import resources
from saga_project.web.openapi import events, shared_parts

#: The words of classes that others inherit from; a class without words of its own would repeat them.
OF_BASES = frozenset(
    inspect.getdoc(base) for base in (api.SagaView, resources.StrictShape, resources.RowShape)
)
#: Groups of operations, in the order of the page.
TAGS = {
    "registry": "Services register, renew, and are found.",
    "services": "What staff set for a service: approval, labels, maintenance, notes.",
    "service registry": "The registry in the dialect of ScaiControl.",
    "discovery": "Service discovery of other systems.",
    "events": "What happened, as pages and as a stream.",
    "subscriptions": "Programs that depend on a service and are called with its events.",
    "checks": "Health checks that Saga calls.",
    "updates": "History, statistics, plans, deployments and rollbacks.",
    "releases": "Releases on record.",
    "sources": "Where releases are published.",
    "artifacts": "Artifacts that were uploaded.",
    "policies": "What becomes of a new release.",
    "selector-policies": "Policies of services that have none of their own, by label.",
    "skips": "Versions that no policy deploys.",
    "windows": "When updates may begin.",
    "freezes": "Times without changes.",
    "approvals": "Decisions that updates wait for.",
    "targets": "Where services are installed.",
    "credentials": "What hosts want to see before they hand out artifacts.",
    "nodes": "Hosts with an agent.",
    "history-entries": "Entries of the history, and their corrections.",
    "webhooks": "Calls from CI and other systems.",
    "inbound-calls": "Calls to the webhook routes, kept.",
    "github-hooks": "Webhooks at GitHub whose missed deliveries are fetched.",
    "channels": "Where notifications go.",
    "notification-rules": "Which events are sent to which channels.",
    "alerts": "What the rules found.",
    "deliveries": "Calls to receivers, and their replays.",
    "receivers": "Receivers that fail.",
    "accounts": "Programs that call Saga, and people.",
    "tokens": "Tokens of accounts.",
    "me": "The caller's own tokens.",
    "audit": "The record of every change.",
    "configuration": "The whole installation as one document.",
    "health": "Whether Saga is well.",
    "documentation": "This document.",
}


def complete(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Finish the document."""
    postprocess_schema_enum_id_removal(result, generator)  # type: ignore[no-untyped-call]
    for operations in result["paths"].values():
        for operation in operations.values():
            _forget_base(operation)
    components = result.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for schema in schemas.values():
        _forget_base(schema)
    schemas["Error"] = shared_parts.ERROR
    schemas["ScaiControlError"] = shared_parts.SCAICONTROL_ERROR
    schemas["HTTPValidationError"] = shared_parts.HTTP_VALIDATION_ERROR
    components["securitySchemes"] = {
        shared_parts.BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": "A service account's token (manage.py create_token), or its issuer's JWT.",
        }
    }
    events.add(result)
    result["info"]["license"] = {"name": "Apache 2.0", "identifier": "Apache-2.0"}
    result["tags"] = _tags(result["paths"])
    result["servers"] = _servers()
    return result


def _forget_base(described: dict[str, Any]) -> None:
    if described.get("description") in OF_BASES:
        del described["description"]


def _tags(paths: dict[str, Any]) -> list[dict[str, str]]:
    used = {
        tag
        for operations in paths.values()
        for operation in operations.values()
        for tag in operation["tags"]
    }
    return [{"name": name, "description": text} for name, text in TAGS.items() if name in used]


def _servers() -> list[dict[str, str]]:
    """Return the server of the document itself, and its address for people where one is set."""
    servers = [{"url": "/", "description": "The server that this document comes from."}]
    if settings.SAGA_PUBLIC_URL:
        servers.append({"url": settings.SAGA_PUBLIC_URL, "description": "SAGA_PUBLIC_URL."})
    return servers
