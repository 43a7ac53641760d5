"""Calls to the webhook routes as they came, with what became of them."""

from __future__ import annotations

import uuid
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ServiceFilter
from registry.identity import accounts
from registry.identity.accounts import Caller
from saga_project.shared import api
from saga_project.shared.api import resources
from saga_project.shared.errors import NotFound
from webhooks import inbound, operations
from webhooks.api.deliveries import MANAGE
from webhooks.models import InboundCall

CALL_ID = OpenApiParameter("call_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class InboundCallSerializer(serializers.ModelSerializer[InboundCall]):
    class Meta:
        model = InboundCall
        fields: tuple[str, ...] = (
            "id",
            "route",
            "service_name",
            "message_id",
            "request_id",
            "proof",
            "caller",
            "verdict",
            "status",
            "is_whole",
            "received_at",
            "replay_of",
        )


class WholeInboundCallSerializer(InboundCallSerializer):
    headers = serializers.DictField(help_text="Secrets are redacted.")
    answer = serializers.JSONField()

    class Meta(InboundCallSerializer.Meta):
        fields: tuple[str, ...] = (*InboundCallSerializer.Meta.fields, "headers", "body", "answer")


class InboundCallFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")
    verdict = resources.ChoiceParameter(choices=InboundCall.Verdict.choices)
    route = django_filters.CharFilter(max_length=16)
    request_id = django_filters.CharFilter(max_length=128)
    since = resources.TimeParameter(field_name="received_at", lookup_expr="gte")
    until = resources.TimeParameter(field_name="received_at", lookup_expr="lt")


class InboundCallViewSet(resources.ResourceViewSet):
    """Calls to the webhook routes, the newest first."""

    required_scopes = {"GET": MANAGE}
    serializer_class = InboundCallSerializer
    pagination_class = resources.pages("calls", ordering=("-received_at", "id"))
    filterset_class = InboundCallFilters
    queryset = InboundCall.objects.all()
    lookup_url_kwarg = "call_id"

    def get_queryset(self) -> QuerySet[InboundCall]:
        return _visible(accounts.caller_of(self.request.user))

    def get_serializer_class(self) -> Any:
        return WholeInboundCallSerializer if self.action == "retrieve" else InboundCallSerializer


class ReplayCallView(api.SagaView):
    required_scopes = {"POST": MANAGE}
    #: What the call once proved counts no more: an account acts.
    requires_token = True
    rejects_unknown_parameters = True
    calls_out = True
    further_statuses = {"POST": (502,)}

    @extend_schema(
        operation_id="replay_inbound_call",
        summary="Act on a kept call once more, in your own name",
        description="It also takes the scope of the call's own route, and answers as that route does.",
        tags=["inbound-calls"],
        parameters=[CALL_ID],
        request=None,
        responses={200: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, call_id: str) -> Response:
        caller = accounts.caller_of(request.user)
        assert caller is not None  # noqa: S101 - requires_token
        row = _find(call_id, by=caller)
        answer = inbound.replay_call(row.pk, by=caller, now=timezone.now())
        return Response(answer.body, status=answer.status)


def _visible(by: Caller | None) -> QuerySet[InboundCall]:
    rows = InboundCall.objects.all()
    if by is not None and by.is_admin:
        return rows
    return rows.filter(operations.not_of_others(by))


def _find(call_id: str, *, by: Caller) -> InboundCall:
    try:
        row = _visible(by).filter(pk=uuid.UUID(call_id)).first()
    except ValueError:
        row = None
    if row is None:
        raise NotFound(f"There is no inbound call {call_id[:64]!r}.")
    return row
