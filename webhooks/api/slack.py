"""The address that a Slack app calls when a button is clicked."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project.shared import api
from webhooks.api.routes import GitHubFormParser
from webhooks.inbound import slack


class SlackActionView(api.SagaView):
    """Slack's signature stands in for a token; the user is mapped to a person by the channel."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (GitHubFormParser,)
    calls_out = True

    @extend_schema(exclude=True)  # it is Slack's to call, and in Slack's format
    def post(self, request: Request) -> Response:
        now = timezone.now()
        headers = {name.lower(): value for name, value in request.headers.items()}
        click = slack.read(request.body, headers, now=now)
        result = slack.act(click, now=now)
        status = "recorded" if result.is_recorded else "refused"
        return Response({"status": status, "message": result.message})
