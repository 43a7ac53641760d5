"""Receivers that fail, and their return."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ServiceFilter
from registry.identity import accounts
from saga_project.shared import api, http_client
from saga_project.shared.api import resources
from webhooks import errors
from webhooks.models import Receiver
from webhooks.operations import receivers

SCOPE = "webhooks:manage"
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class ReceiverSerializer(serializers.ModelSerializer[Receiver]):
    url = serializers.SerializerMethodField(help_text="Masked.")
    service_name = serializers.CharField(allow_null=True)
    state = serializers.SerializerMethodField()

    class Meta:
        model = Receiver
        fields = (
            "id",
            "url",
            "service_name",
            "state",
            "failures",
            "failing_since",
            "paused_at",
            "probe_at",
            "disabled_at",
        )

    @extend_schema_field(serializers.CharField())
    def get_url(self, row: Receiver) -> str:
        return http_client.masked(row.url)

    @extend_schema_field(serializers.ChoiceField(choices=["failing", "paused", "disabled"]))
    def get_state(self, row: Receiver) -> str:
        if row.disabled_at is not None:
            return "disabled"
        return "failing" if row.paused_at is None else "paused"


class ReceiverFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")


class ReceiverViewSet(resources.ResourceViewSet):
    """Receivers that fail: paused and probed after ten failures in a row, disabled after five days."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": SCOPE}
    serializer_class = ReceiverSerializer
    pagination_class = resources.pages("receivers")
    filterset_class = ReceiverFilters
    queryset = Receiver.objects.all()
    lookup_url_kwarg = "receiver_id"

    def get_queryset(self) -> QuerySet[Receiver]:
        return receivers.visible_receivers(by=accounts.caller_of(self.request.user))


class ResumedSerializer(serializers.Serializer[Any]):
    replayed = serializers.IntegerField(help_text="How many dead deliveries are sent again.")


class ResumeReceiverView(api.SagaView):
    required_scopes: ClassVar[dict[str, str]] = {"POST": SCOPE}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="resume_receiver",
        summary="Call a receiver again, and send what it missed",
        tags=["receivers"],
        parameters=[OpenApiParameter("receiver_id", str, OpenApiParameter.PATH)],
        request=None,
        responses={200: ResumedSerializer},
    )
    def post(self, request: Request, receiver_id: str) -> Response:
        by = accounts.caller_of(request.user)
        is_number = _NUMBER.fullmatch(receiver_id) is not None
        rows = receivers.visible_receivers(by=by)
        if not is_number or not rows.filter(pk=int(receiver_id)).exists():
            raise errors.ReceiverNotFound(f"There is no failing receiver {receiver_id[:64]!r}.")
        name = "anonymous" if by is None else str(by)
        count = receivers.resume_receiver(int(receiver_id), by=name, now=timezone.now())
        return Response({"replayed": count})
