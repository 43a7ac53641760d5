"""Adds to a view's own description of an operation what it shares with all others."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from drf_spectacular.openapi import AutoSchema

from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources
from saga_project.web.openapi import component_names, shared_parts
from saga_project.web.openapi.shared_parts import BEARER

#: The mode that the document is made for; by default the one that is set.
MODE: ContextVar[str] = ContextVar("mode")


class SagaSchema(AutoSchema):
    """The description of one operation."""

    view: api.SagaView  # type: ignore[override]

    def get_auth(self) -> list[dict[str, list[str]]]:
        if self._is_public():
            return []
        is_open = MODE.get(settings.SAGA_AUTH) == "open" and not self.view.requires_token
        needs_token = not is_open or self._is_scaicontrol()
        return [{BEARER: []}] if needs_token else [{BEARER: []}, {}]

    def get_tags(self) -> list[str]:
        """The first word of the path, where the view names no group."""
        return [self.path.removeprefix("/api/v1/").partition("/")[0]]

    def get_operation_id(self) -> str:
        """The action and the resource, or the method and the path in words, where the view names none."""
        if basename := getattr(self.view, "basename", None):
            return component_names.of_action(
                getattr(self.view, "action", ""),
                thing=basename,
                things=self.path.rpartition("/")[2],
            )
        words = re.findall(r"\w+", self.path.removeprefix("/api/v1/"))
        return "_".join([self.method.lower(), *words])

    def get_summary(self) -> str | None:
        if getattr(self.view, "basename", None):
            return component_names.summary(self.get_operation_id())
        return None

    def get_paginated_name(self, serializer_name: str) -> str:
        return component_names.of_page(serializer_name)

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if self._is_public():
            operation["security"] = []
        if self.method == "POST":
            operation.setdefault("parameters", []).append(shared_parts.IDEMPOTENCY_KEY)
        if 412 in self.view.further_statuses.get(self.method, ()):
            operation.setdefault("parameters", []).append(shared_parts.IF_MATCH)
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] in ("name", "service_name"):
                parameter["schema"] = fields.schema_of(rules.SERVICE_NAME)
        for status in self._statuses(has_body="requestBody" in operation):
            operation["responses"].setdefault(status, self._error(status))
        return operation

    def _get_serializer_name(
        self, serializer: Any, direction: Any, bypass_extensions: Any = False
    ) -> str:
        name = super()._get_serializer_name(serializer, direction, bypass_extensions)
        return component_names.of_component(name)

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
        statuses = ["405", *(str(status) for status in own.get(self.method, ()))]
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
        answer = {
            "description": shared_parts.MEANINGS[status],
            "content": {"application/json": {"schema": schema}},
        }
        headers = shared_parts.HEADERS.get(status)
        return {**answer, "headers": headers} if headers else answer
