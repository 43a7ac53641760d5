"""The address that a Slack app calls when a button is clicked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project.shared import api
from webhooks.api import signature_headers
from webhooks.api.routes import GitHubFormParser
from webhooks.inbound import slack
from webhooks.inbound.senders import forms


class SlackActionShape(serializers.Serializer[Any]):
    payload = serializers.CharField(help_text="What was clicked, as JSON.")


class SlackActionAnswerSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["recorded", "refused"])
    message = serializers.CharField()


class SlackActionView(api.SagaView):
    """Slack's signature stands in for a token; the user is mapped to a person by the channel."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (GitHubFormParser,)
    calls_out = True
    further_statuses: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "POST": (400, 401, 413, 415, 429, 503)
    }

    @extend_schema(
        operation_id="decide_in_slack",
        summary="Take a click on a button in Slack",
        description="Only Slack calls this, with its own signature and format.",
        tags=["webhooks"],
        parameters=signature_headers.SLACK,
        request={forms.MEDIA_TYPE: SlackActionShape},
        responses={200: SlackActionAnswerSerializer},
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        headers = {name.lower(): value for name, value in request.headers.items()}
        click = slack.read(request.body, headers, now=now)
        result = slack.act(click, now=now)
        status = "recorded" if result.is_recorded else "refused"
        return Response({"status": status, "message": result.message})
