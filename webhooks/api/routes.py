"""The view of a route: size, strict JSON, the service's name, the signature, and only then the rest."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import parsers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api import authentication
from registry.identity import accounts
from saga_project.shared import api, strict_json
from webhooks.api import signature_headers
from webhooks.inbound import journal, verification
from webhooks.inbound.calls import Call, CallAnswer, Route
from webhooks.inbound.senders import cloudevents, forms

logger = logging.getLogger(__name__)


class GitHubFormParser(parsers.BaseParser):
    """Takes the form that GitHub sends unless its webhook is set to JSON."""

    media_type = forms.MEDIA_TYPE

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return api.read_json_object(forms.payload(stream.read()))


class CallView(api.SagaView):
    """Receives a call; what is wrong with it is kept as well as what came of it."""

    route: Route
    accepts_signature: ClassVar[bool] = True
    call: Call | None = None

    def receive(self, request: Request, *, service_name: str = "") -> Response:
        now = timezone.now()
        call = self._verified(request, service_name)
        if not verification.is_authenticated(call) and call.caller is None:
            scope = authentication.required_scope(self, "POST")
            authentication.demand(request, None, scope or "")
        verification.check_may_change(call)
        answer = call.route.act(call, now)
        return Response(answer.body, status=answer.status)

    def _verified(self, request: Request, service_name: str) -> Call:
        """Read the call step by step; what is known of it is kept if a step refuses it."""
        call = self.call = Call(
            route=self.route,
            raw=request.body,
            headers={name.lower(): value for name, value in request.headers.items()},
            caller=accounts.caller_of(request.user),
            request_id=api.request_id_of(request),
            access_token=request.query_params.get("access_token", ""),
            media_type=media_type_of(request),
        )
        document = self.read_document(request, call)
        call = self.call = dataclasses.replace(call, document=document, service_name=service_name)
        call = self.call = verification.named(call)
        if self.accepts_signature:
            call = self.call = verification.verified(call, now=timezone.now())
        call = self.call = verification.identified(call)
        if call.media_type != "application/json" or cloudevents.is_binary(call.headers):
            # The signature was over what came; what is kept for a replay is the JSON in it.
            call = self.call = dataclasses.replace(call, raw=strict_json.dumps(document))
        return call

    def read_document(self, request: Request, call: Call) -> dict[str, Any]:
        """Return the JSON object in the body; raises what a body is refused with."""
        del call
        return api.body_of(request)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if self.call is not None:
            self._keep(self.call, CallAnswer(response.status_code, response.data))
        return response

    def _keep(self, call: Call, answer: CallAnswer) -> None:
        try:
            journal.refuse(call, answer, now=timezone.now())
        except (DatabaseError, InterfaceError):
            logger.warning("refused call not kept", extra={"route": call.route.name})


class WebhookView(CallView):
    """One route; what is wrong with a call is kept as well as what came of it."""

    def post(self, request: Request) -> Response:
        return self.receive(request)


def media_type_of(request: Request) -> str:
    return (request.content_type or "").partition(";")[0].strip().lower()


def view_of(route: Route, base: type[WebhookView] = WebhookView) -> type[WebhookView]:
    """Return the view of a route; ``base`` may add other methods at the same address."""
    described = extend_schema(
        operation_id=route.operation_id,
        summary=route.summary,
        tags=["webhooks"],
        parameters=signature_headers.OWN if route.accepts_signature else None,
        request={"application/json": route.body},
        responses=dict(route.answers),
    )
    json_only = base.parser_classes
    attributes = {
        "__module__": base.__module__,
        "route": route,
        "accepts_signature": route.accepts_signature,
        "calls_out": route.calls_out,
        "required_scopes": {**base.required_scopes, "POST": route.scope},
        "further_statuses": {**base.further_statuses, "POST": route.further_statuses},
        "parser_classes": (*json_only, GitHubFormParser) if route.takes_forms else json_only,
    }
    name = "".join(word.capitalize() for word in route.name.split("-")) + "View"
    return extend_schema_view(post=described)(type(name, (base,), attributes))
