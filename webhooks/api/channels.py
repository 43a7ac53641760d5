"""Channels: where notifications can go, and a test message with the receiver's answer."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import django_filters
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ServiceFilter, ServiceNameField
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.operations.configured import Precondition
from saga_project.shared import api, http_client
from saga_project.shared.api import fields, resources
from webhooks import errors, operations
from webhooks.models import Endpoint
from webhooks.outbound import channels

SCOPE = "webhooks:manage"
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class ChannelShape(resources.StrictShape):
    fixed = ("service_name", "channel")
    id = serializers.IntegerField(read_only=True)
    channel = fields.TextField(
        max_length=64, help_text="Its name; slack, discord, teams are formats."
    )
    service_name = ServiceNameField(
        source="service", required=False, allow_null=True, help_text="Null: for all services."
    )
    url = fields.TextField(
        required=False,
        max_length=2048,
        help_text="Or mailto: with addresses. Masked for those that may not configure it.",
    )
    format = serializers.ChoiceField(
        choices=channels.ALL_FORMATS, required=False, help_text="Default: by name, else standard."
    )
    secret = fields.TextField(
        write_only=True,
        required=False,
        allow_null=True,
        max_length=4096,
        help_text="PagerDuty's routing key, a bot's token for Slack, the Authorization of a template,"
        " or the secret that signs Standard Webhooks. Kept when absent.",
    )
    signing_secret = fields.TextField(
        write_only=True,
        required=False,
        allow_null=True,
        max_length=4096,
        help_text="The Slack app's, which signs clicks on buttons. Kept when absent.",
    )
    has_secret = serializers.BooleanField(read_only=True)
    options = serializers.DictField(
        required=False,
        help_text="`template` and `content_type` of a template, `channel` of Slack with a token,"
        " `approver` and `approvers` as docs/notifications.md says.",
    )
    is_enabled = serializers.BooleanField(
        read_only=True, help_text="False since its receiver answered 410, or failed for days."
    )

    def to_representation(self, instance: Endpoint) -> dict[str, Any]:
        configuration = instance.configuration
        is_shown = operations.may_configure(configuration, by=self.context["caller"])
        return {
            "id": instance.pk,
            "channel": instance.channel,
            "service_name": configuration.service_name or None,
            "url": instance.url if is_shown else http_client.masked(instance.url),
            "format": channels.format_of(instance.channel, url=instance.url, named=instance.format),
            "has_secret": bool(instance.sealed_secret),
            "options": instance.options if is_shown else {},
            "is_enabled": instance.disabled_at is None,
        }


class ChannelTestSerializer(serializers.Serializer[Any]):
    is_delivered = serializers.BooleanField()
    reason = serializers.CharField(help_text="What came of it.")
    status = serializers.IntegerField(allow_null=True, help_text="Null where nothing answered.")
    answer = serializers.CharField(help_text="The first 2 kB of the receiver's answer.")
    duration_ms = serializers.IntegerField(allow_null=True)


class ChannelFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="configuration__service__name")
    channel = django_filters.CharFilter(max_length=64)


class ChannelViewSet(resources.ChangeableViewSet):
    """The endpoints of `/webhooks/config`, one by one, each with format, secret and options."""

    required_scopes: ClassVar[dict[str, str]] = dict.fromkeys(
        ("GET", "POST", "PATCH", "DELETE"), SCOPE
    )
    serializer_class = ChannelShape
    pagination_class = resources.pages("channels")
    filterset_class = ChannelFilters
    queryset = Endpoint.objects.select_related("configuration__service")
    lookup_url_kwarg = "channel_id"

    def get_serializer_context(self) -> dict[str, Any]:
        caller = accounts.caller_of(self.request.user)
        return {**super().get_serializer_context(), "caller": caller}

    def make(self, values: dict[str, Any]) -> Endpoint:
        service = values.pop("service", None)
        by = accounts.caller_of(self.request.user)
        return operations.add_channel(service, values, by=by, now=timezone.now())

    def change(self, row: Any, values: dict[str, Any], *, precondition: Precondition) -> Endpoint:
        by = accounts.caller_of(self.request.user)
        return operations.change_channel(
            row.pk, values, by=by, now=timezone.now(), precondition=precondition
        )

    def remove(self, row: Any, *, precondition: Precondition) -> None:
        by = accounts.caller_of(self.request.user)
        operations.remove_channel(row.pk, by=by, now=timezone.now(), precondition=precondition)


class ChannelTestView(api.SagaView):
    """One message goes out at once, without another try. A receiver that refuses it is 200, too."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": SCOPE}
    rejects_unknown_parameters = True
    calls_out = True

    @extend_schema(
        operation_id="test_channel",
        summary="Send a test message and see the receiver's answer",
        tags=["channels"],
        parameters=[OpenApiParameter("channel_id", str, OpenApiParameter.PATH)],
        request=None,
        responses={200: ChannelTestSerializer},
    )
    def post(self, request: Request, channel_id: str) -> Response:
        endpoint = _find(channel_id, by=accounts.caller_of(request.user))
        result = operations.send_test(endpoint, now=timezone.now())
        attempt = result.attempt
        return Response(
            {
                "is_delivered": result.is_delivered,
                "reason": result.reason,
                "status": attempt.status if attempt is not None else None,
                "answer": attempt.answer if attempt is not None else "",
                "duration_ms": attempt.duration_ms if attempt is not None else None,
            }
        )


def _find(channel_id: str, *, by: Caller | None) -> Endpoint:
    """Return a channel that the caller may configure; raises ChannelNotFound and what ownership refuses."""
    rows = Endpoint.objects.select_related("configuration__service")
    is_number = _NUMBER.fullmatch(channel_id) is not None
    endpoint = rows.filter(pk=int(channel_id)).first() if is_number else None
    if endpoint is None:
        raise errors.ChannelNotFound(f"There is no channel {channel_id[:64]!r}.")
    operations.check_may_configure(endpoint.configuration, by=by)
    return endpoint
