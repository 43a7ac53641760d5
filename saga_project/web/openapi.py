"""The OpenAPI document: every route with every status it answers, in both dialects, and a page to read it.

Views describe their own parameters, bodies and answers, fields their own rules; what all routes share
(errors, scopes, the name in a path) is added here, once.
"""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any, ClassVar

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources

BEARER = "bearer"
#: The verbs of a viewset's actions, in the names of operations.
ACTIONS = {"retrieve": "get", "partial_update": "change", "destroy": "delete"}
#: The words of classes that others inherit from; a class without words of its own would repeat them.
OF_BASES = frozenset(
    inspect.getdoc(base) for base in (api.SagaView, resources.StrictShape, resources.RowShape)
)
MEANINGS = {
    "400": "The request cannot be understood, or breaks a rule that `message` names.",
    "401": "No token, or one that is not known.",
    "403": "The token does not have the scope, or the service belongs to another account.",
    "404": "What was named does not exist.",
    "409": "The state of what was named, or of its Idempotency-Key, forbids this.",
    "410": "The cursor is older than the events that are kept.",
    "412": "`If-Match` names another state than the current one: read it again.",
    "413": "The body has more than 1 MiB.",
    "415": "The body is not JSON.",
    "422": "The body cannot be understood, or breaks a rule.",
    "429": "Too many requests; Retry-After says how long to wait.",
    "502": "Another server, which this needs, refused or could not be reached.",
    "503": "Redis or the database is not available.",
}
ERROR = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "description": "The short type, for programs."},
        "message": {"type": "string", "description": "A sentence for the person who must act."},
    },
    "additionalProperties": False,
}
SCAICONTROL_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string", "enum": sorted(set(api.SCAICONTROL_CODES.values()))},
                "message": {"type": "string"},
                "request_id": {"type": "string"},
            },
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
HTTP_VALIDATION_ERROR = {
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    },
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        }
    },
    "additionalProperties": False,
}

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same body gets the first answer again, for 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The `ETag` of what was read: where it was changed since, the answer is 412.",
    "schema": {"type": "string", "maxLength": 256},
}


class SagaSchema(AutoSchema):
    """Adds to a view's own description what it shares with all others."""

    view: api.SagaView  # type: ignore[override]

    def get_auth(self) -> list[dict[str, list[str]]]:
        if self._is_public():
            return []
        is_open = settings.SAGA_AUTH == "open" and not self.view.requires_token
        needs_token = not is_open or self._is_scaicontrol()
        return [{BEARER: []}] if needs_token else [{BEARER: []}, {}]

    def get_tags(self) -> list[str]:
        """The first word of the path, where the view names no group."""
        return [self.path.removeprefix("/api/v1/").partition("/")[0]]

    def get_operation_id(self) -> str:
        """The action and the resource, or the method and the path in words, where the view names none."""
        if basename := getattr(self.view, "basename", None):
            name: str = getattr(self.view, "action", "")
            action = ACTIONS.get(name, name)
            thing = self.path.rpartition("/")[2] if action == "list" else basename
            return f"{action}_{thing}".replace("-", "_")
        words = re.findall(r"\w+", self.path.removeprefix("/api/v1/"))
        return "_".join([self.method.lower(), *words])

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if self._is_public():
            operation["security"] = []
        if self.method == "POST":
            operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        if 412 in self.view.further_statuses.get(self.method, ()):
            operation.setdefault("parameters", []).append(IF_MATCH)
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] in ("name", "service_name"):
                parameter["schema"] = fields.schema_of(rules.SERVICE_NAME)
        for status in self._statuses(has_body="requestBody" in operation):
            operation["responses"].setdefault(status, self._error(status))
        return operation

    def _map_serializer(
        self, serializer: Any, direction: Any, bypass_extensions: Any = False
    ) -> Any:
        schema = super()._map_serializer(serializer, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        if direction == "request" and isinstance(serializer, resources.StrictShape):
            schema["additionalProperties"] = False
        return schema

    def _get_request_body(self, direction: Any = "request") -> Any:
        """The ScaiControl dialect names the service in the body of its DELETE; none else has one."""
        if self.method == "DELETE" and not self._is_scaicontrol():
            return None
        method, self.method = self.method, "PUT" if self.method == "DELETE" else self.method
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        """A rule's schema is complete: it says of the empty text as well whether it is allowed."""
        if getattr(field, "rule", None) is None:
            super()._insert_field_validators(field, schema)  # type: ignore[no-untyped-call]

    def _is_public(self) -> bool:
        return not self.view.requires_token and self.view.required_scopes.get(self.method) is None

    def _is_scaicontrol(self) -> bool:
        return api.is_scaicontrol(self.path)

    def _statuses(self, *, has_body: bool) -> list[str]:
        """Return what this operation may answer beside what its view describes."""
        is_change = self.method != "GET"
        own = self.view.further_statuses
        statuses = [str(status) for status in own.get(self.method, ())]
        if self._is_public():
            return statuses
        statuses += ["401", "403", "429", "503", "422" if self._is_scaicontrol() else "400"]
        statuses += ["409"] * is_change + ["413", "415"] * has_body
        statuses += ["404"] * (is_change or "{" in self.path)
        return sorted(statuses)

    def _error(self, status: str) -> dict[str, Any]:
        name = "ScaiControlError" if self._is_scaicontrol() else "Error"
        if status == "422":
            name = "HTTPValidationError"
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {
            "description": MEANINGS[status],
            "content": {"application/json": {"schema": schema}},
        }


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Finish the document with the shared components, and without what base classes tell developers."""
    for operations in result["paths"].values():
        for operation in operations.values():
            _forget_base(operation)
    for schema in result.get("components", {}).get("schemas", {}).values():
        _forget_base(schema)
    components = result.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemas["Error"] = ERROR
    schemas["ScaiControlError"] = SCAICONTROL_ERROR
    schemas["HTTPValidationError"] = HTTP_VALIDATION_ERROR
    components["securitySchemes"] = {
        BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": "A service account's token (manage.py create_token), or its issuer's JWT.",
        }
    }
    return result


def _forget_base(described: dict[str, Any]) -> None:
    if described.get("description") in OF_BASES:
        del described["description"]


# --- Serving it -----------------------------------------------------------------------------------


@functools.cache
def document(auth: str) -> bytes:
    """Return the document as JSON; it does not change while the process runs."""
    del auth  # what it depends on, beside the code
    generator: Any = SchemaGenerator
    return orjson.dumps(generator().get_schema(request=None, public=True))


class SchemaView(api.SagaView):
    required_scopes: ClassVar[dict[str, str]] = {}

    @extend_schema(
        operation_id="schema",
        summary="This document",
        tags=["documentation"],
        responses={200: {"type": "object"}},
    )
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document(settings.SAGA_AUTH), content_type="application/json")


class DocsView(api.SagaView):
    required_scopes: ClassVar[dict[str, str]] = {}

    @extend_schema(
        operation_id="docs",
        summary="This document, to read and try",
        tags=["documentation"],
        responses={(200, "text/html"): OpenApiResponse({"type": "string"}, "A page.")},
    )
    def get(self, request: Request) -> HttpResponse:
        plain: HttpRequest = request._request  # noqa: SLF001  (DRF's way to the request of Django)
        return render(plain, "docs.html")
