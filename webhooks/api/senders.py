"""The address of foreign senders: the sender decides how a body is read and how the secret is shown."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.authentication import BearerAuthentication
from registry.identity import accounts, local_token, oidc
from registry.identity.accounts import Caller
from webhooks.api import signature_headers
from webhooks.api.routes import CallView
from webhooks.inbound import from_sender
from webhooks.inbound.calls import Call
from webhooks.inbound.senders import SENDERS

_ORIGIN = re.compile(r"[!-~]{1,255}", re.ASCII)
_SENDER = OpenApiParameter(
    "sender",
    str,
    OpenApiParameter.PATH,
    enum=sorted(SENDERS),
    description="Each shows the service's secret in its own way; see docs/releases.md.",
)


class SenderAuthentication(BearerAuthentication):
    """Leaves a secret in ``Authorization`` to the sender; anything like a token must be a good one."""

    def authenticate(self, request: Request) -> tuple[Caller, Any] | None:
        sender = SENDERS.get(request.parser_context["kwargs"].get("sender", ""))
        if sender is not None and sender.takes_authorization and not _is_token(request):
            return None
        return super().authenticate(request)


def _is_token(request: Request) -> bool:
    text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip()
    is_ours = text.startswith(accounts.TOKEN_MARK) or local_token.is_local_token(text)
    return is_ours or oidc.is_jwt(text)


class SenderView(CallView):
    """A push has the service's own source asked; a release with all that it takes is recorded.

    Pings and events without an effect are answered with 202 `ignored` and the reason.
    """

    authentication_classes = (SenderAuthentication,)
    required_scopes = {"POST": "updates:deploy"}

    @extend_schema(
        operation_id="webhook_from_sender",
        summary="Take a webhook of GitHub, GitLab, Gitea, a registry, or a CloudEvent",
        tags=["webhooks"],
        parameters=[_SENDER, *signature_headers.OWN, *signature_headers.FOREIGN],
        request={"application/json": {"type": "object"}},
        responses={202: from_sender.FollowedSerializer},
    )
    def post(self, request: Request, sender: str, name: str) -> Response:
        _, self.route = from_sender.find(sender)
        return self.receive(request, service_name=name)

    def read_document(self, request: Request, call: Call) -> dict[str, Any]:
        sender = SENDERS[self.kwargs["sender"]]
        return sender.body(call.raw, call.media_type, call.headers)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Answer the handshake of CloudEvents: the address expects this sender's events."""
        del args
        found, _ = from_sender.find(kwargs["sender"])
        origin = request.headers.get("WebHook-Request-Origin", "")
        headers = {"Allow": "POST, OPTIONS"}
        if found.has_handshake and _ORIGIN.fullmatch(origin):
            headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
        return Response(status=200, headers=headers)
