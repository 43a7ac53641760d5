"""The webhook routes: size, strict JSON, the service's name, the signature, and only then the rest."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import parsers, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.api import authentication
from registry.identity import accounts
from saga_project.shared import api, errors, http_client
from webhooks import operations
from webhooks.errors import ConfigurationNotFound
from webhooks.inbound import bodies, calls
from webhooks.inbound.calls import Call, CallAnswer
from webhooks.inbound.senders import github
from webhooks.models import GLOBAL
from webhooks.signatures import Proof

logger = logging.getLogger(__name__)


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


class WebhookView(api.SagaView):
    """One route; what is wrong with a call is kept as well as what came of it."""

    route: ClassVar[str]
    accepts_signature: ClassVar[bool] = True
    is_name_optional: ClassVar[bool] = False
    call: Call | None = None

    def receive(self, request: Request) -> Response:
        now = timezone.now()
        call = self._judged(request)
        if call.proof is not Proof.SIGNATURE and call.caller is None:
            scope = authentication.required_scope(self, "POST")
            authentication.demand(request, None, scope or "")
        calls.check_may_change(call)
        answer = operations.receive(call, now=now)
        return Response(answer.body, status=answer.status)

    def _judged(self, request: Request) -> Call:
        """Read the call step by step; what is known of it is kept if a step refuses it."""
        call = self.call = Call(
            route=self.route,
            raw=request.body,
            headers=_headers(request),
            caller=accounts.caller_of(request.user),
            request_id=api.request_id_of(request),
        )
        document: Any = request.data
        call = self.call = dataclasses.replace(call, document=document)
        call = self.call = calls.named(call, is_optional=self.is_name_optional)
        if self.accepts_signature:
            proof = calls.judge(call, now=timezone.now())
            call = self.call = dataclasses.replace(call, proof=proof)
            calls.check_route(call)
        call = self.call = calls.identified(call)
        if self.is_form(request):
            # The signature was over the form; what is kept for a replay is the JSON in it.
            call = self.call = dataclasses.replace(call, raw=github.payload_of_form(call.raw))
        return call

    def is_form(self, request: Request) -> bool:
        return (request.content_type or "").partition(";")[0].strip().lower() == github.FORM

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if self.call is not None:
            self._keep(self.call, CallAnswer(response.status_code, response.data))
        return response

    def _keep(self, call: Call, answer: CallAnswer) -> None:
        try:
            calls.refuse(call, answer, now=timezone.now())
        except (DatabaseError, InterfaceError):
            logger.warning("refused call not kept", extra={"route": call.route})


class AcceptedSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()
    message = serializers.CharField()
    service_name = serializers.CharField()
    version = serializers.CharField()


class JobAcceptedSerializer(AcceptedSerializer):
    job_id = serializers.CharField(
        allow_null=True, help_text="Null while the request awaits the approval of a second person."
    )


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


class ReceivedSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()
    message = serializers.CharField()


class ConfigurationSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField(allow_null=True)
    endpoints = serializers.DictField(child=serializers.CharField())
    configured_at = serializers.DateTimeField(allow_null=True)


class GitHubFormParser(parsers.BaseParser):
    """Takes the form that GitHub sends unless its webhook is set to JSON."""

    media_type = github.FORM

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        try:
            return api.read_json_object(github.payload_of_form(stream.read()))
        except github.NotGitHubsForm as exc:
            raise errors.InvalidRequest(str(exc)) from exc


class UpdateView(WebhookView):
    route = "update"
    parser_classes = (api.StrictJSONParser, GitHubFormParser)
    required_scopes = {"POST": "updates:deploy"}

    @extend_schema(
        operation_id="webhook_update",
        summary="Announce a release; the service's policy decides what follows",
        tags=["webhooks"],
        request={"application/json": bodies.UpdateShape},
        responses={202: AcceptedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class CheckUpdatesView(WebhookView):
    route = "check-updates"
    calls_out = True
    required_scopes = {"POST": "updates:deploy"}
    further_statuses = {"POST": (502,)}

    @extend_schema(
        operation_id="webhook_check_updates",
        summary="Ask the service's source for updates now",
        tags=["webhooks"],
        request=bodies.CheckShape,
        responses={200: CheckedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class HealthReportView(WebhookView):
    route = "health"
    required_scopes = {"POST": "webhooks:send"}

    @extend_schema(
        operation_id="webhook_health",
        summary="Report a service's health",
        tags=["webhooks"],
        request=bodies.HealthShape,
        responses={200: ReceivedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class LifecycleView(WebhookView):
    route = "lifecycle"
    required_scopes = {"POST": "webhooks:send"}

    @extend_schema(
        operation_id="webhook_lifecycle",
        summary="Report that a service started, stopped, crashed, ...",
        tags=["webhooks"],
        request=bodies.LifecycleShape,
        responses={200: ReceivedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class DeployView(WebhookView):
    route = "deploy"
    required_scopes = {"POST": "updates:deploy"}

    @extend_schema(
        operation_id="webhook_deploy",
        summary="Deploy a version; the same request again answers with the running job",
        tags=["webhooks"],
        request=bodies.DeployShape,
        responses={202: JobAcceptedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class RollbackView(WebhookView):
    route = "rollback"
    required_scopes = {"POST": "updates:deploy"}

    @extend_schema(
        operation_id="webhook_rollback",
        summary="Go back to a version that ran before",
        tags=["webhooks"],
        request=bodies.RollbackShape,
        responses={202: JobAcceptedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class NotifyView(WebhookView):
    route = "notify"
    calls_out = True
    required_scopes = {"POST": "webhooks:send"}
    further_statuses = {"POST": (502,)}

    @extend_schema(
        operation_id="webhook_notify",
        summary="Send a notification via a configured channel",
        tags=["webhooks"],
        request=bodies.NotifyShape,
        responses={200: ReceivedSerializer, 202: ReceivedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)


class ConfigView(WebhookView):
    """A signature of the secret does not allow to change the secret: that takes a token."""

    route = "config"
    accepts_signature = False
    is_name_optional = True
    required_scopes = {"GET": "webhooks:manage", "POST": "webhooks:manage"}
    further_statuses = {"GET": (404,)}

    @extend_schema(
        operation_id="webhook_configure",
        summary="Configure a service's endpoints and secret, or the global ones",
        tags=["webhooks"],
        request=bodies.ConfigShape,
        responses={200: ReceivedSerializer},
    )
    def post(self, request: Request) -> Response:
        return self.receive(request)

    @extend_schema(
        operation_id="webhook_configuration",
        summary="Read a service's configuration, or the global one; others see masked URLs",
        tags=["webhooks"],
        responses={200: ConfigurationSerializer},
    )
    def get(self, request: Request) -> Response:
        name = request.query_params.get("service_name")
        if name is not None:
            names.check_service_name(name)
        row = operations.find_configuration(name or GLOBAL)
        if row is None and name is not None:
            raise ConfigurationNotFound(f"Service '{name}' has no webhook configuration.")
        endpoints = row.endpoints.all() if row is not None else []
        is_shown = row is None or operations.may_configure(row, by=accounts.caller_of(request.user))
        return Response(
            {
                "service_name": name,
                "endpoints": {
                    endpoint.channel: endpoint.url if is_shown else http_client.masked(endpoint.url)
                    for endpoint in endpoints
                },
                "configured_at": api.zulu(row.configured_at) if row is not None else None,
            }
        )
