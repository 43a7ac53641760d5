"""Deliveries to receivers, with their attempts; dead ones are sent again one by one or many at once."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.api.configured import ServiceFilter
from registry.identity import accounts
from saga_project.shared import api, http_client
from saga_project.shared.api import fields, resources
from saga_project.shared.errors import NotFound
from webhooks import errors, operations
from webhooks.models import Attempt, Delivery

MANAGE = "webhooks:manage"
REPLAYED_AT_ONCE = 1000
MAX_ATTEMPTS = 50
DELIVERY_ID = OpenApiParameter("delivery_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    class Meta:
        model = Attempt
        fields = ("started_at", "duration_ms", "status", "error", "answer")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    url = serializers.SerializerMethodField(help_text="The receiver, without its secrets.")

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "topic",
            "service_name",
            "url",
            "status",
            "reason",
            "attempt_count",
            "next_attempt_at",
            "created_at",
            "finished_at",
        )

    def get_url(self, row: Delivery) -> str:
        return http_client.masked(row.url)


class WholeDeliverySerializer(DeliverySerializer):
    payload = serializers.JSONField()
    attempts = serializers.SerializerMethodField(help_text="The newest first.")

    class Meta(DeliverySerializer.Meta):
        fields: tuple[str, ...] = (*DeliverySerializer.Meta.fields, "payload", "attempts")

    @extend_schema_field(AttemptSerializer(many=True))
    def get_attempts(self, row: Delivery) -> Any:
        rows = row.attempts.order_by("-started_at", "-pk")[:MAX_ATTEMPTS]
        return AttemptSerializer(rows, many=True).data


class DeliveryFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")
    status = resources.ChoiceParameter(choices=Delivery.Status.choices)
    kind = resources.ChoiceParameter(choices=Delivery.Kind.choices)
    topic = django_filters.CharFilter(max_length=64)
    since = resources.TimeParameter(field_name="created_at", lookup_expr="gte")
    until = resources.TimeParameter(field_name="created_at", lookup_expr="lt")


class DeliveryViewSet(resources.ResourceViewSet):
    """Deliveries, the newest first; `status=dead` are those that Saga gave up."""

    required_scopes = {"GET": MANAGE}
    serializer_class = DeliverySerializer
    pagination_class = resources.pages("deliveries", ordering=("-created_at", "id"))
    filterset_class = DeliveryFilters
    queryset = Delivery.objects.all()
    lookup_url_kwarg = "delivery_id"

    def get_queryset(self) -> QuerySet[Delivery]:
        return operations.visible_deliveries(by=accounts.caller_of(self.request.user))

    def get_serializer_class(self) -> Any:
        return WholeDeliverySerializer if self.action == "retrieve" else DeliverySerializer


class ReplayDeliveryView(api.SagaView):
    required_scopes = {"POST": MANAGE}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="replay_delivery",
        summary="Send a dead delivery again",
        tags=["deliveries"],
        parameters=[DELIVERY_ID],
        request=None,
        responses={200: DeliverySerializer},
    )
    def post(self, request: Request, delivery_id: str) -> Response:
        by = accounts.caller_of(request.user)
        row = _find(operations.visible_deliveries(by=by), delivery_id)
        if not operations.replay_deliveries([row.pk], by=_name(by), now=timezone.now()):
            raise errors.DeliveryNotDead(
                f"The delivery is {row.status}: only a dead one is sent again."
            )
        row.refresh_from_db()
        return Response(DeliverySerializer(row).data)


class ReplayManyShape(resources.StrictShape):
    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=REPLAYED_AT_ONCE
    )
    service_name = fields.NameField(required=False, or_empty=True)
    topic = fields.TextField(required=False, max_length=64)
    since = fields.TimeField(required=False)
    until = fields.TimeField(required=False)


class ReceiverCountSerializer(serializers.Serializer[Any]):
    url = serializers.CharField()
    count = serializers.IntegerField()


class ReplayedSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    count = serializers.IntegerField(help_text="How many dead deliveries are sent again.")
    is_more = serializers.BooleanField(help_text="More match: call again for the next 1,000.")
    receivers = ReceiverCountSerializer(many=True)
    ids = serializers.ListField(child=serializers.UUIDField())


class ReplayManyView(api.SagaView):
    required_scopes = {"POST": MANAGE}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="replay_deliveries",
        summary="Send the dead deliveries that match again, the oldest 1,000 first",
        tags=["deliveries"],
        parameters=[
            fields.parameter(
                "dry_run", "Say which they are, and send none.", choices=["true", "false"]
            )
        ],
        request=ReplayManyShape,
        responses={200: ReplayedSerializer},
    )
    def post(self, request: Request) -> Response:
        is_dry_run = api.read_choice(request, "dry_run", ["true", "false"]) == "true"
        shape = ReplayManyShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        by = accounts.caller_of(request.user)
        dead = operations.visible_deliveries(by=by).filter(status=Delivery.Status.DEAD)
        rows = _matching(dead, shape.validated_data).order_by("created_at", "pk")
        found = list(rows[: REPLAYED_AT_ONCE + 1])
        chosen = found[:REPLAYED_AT_ONCE]
        ids, count = [row.pk for row in chosen], len(chosen)
        if not is_dry_run:
            count = operations.replay_deliveries(ids, by=_name(by), now=timezone.now())
        receivers = Counter(http_client.masked(row.url) for row in chosen).most_common()
        body = {
            "dry_run": is_dry_run,
            "count": count,
            "is_more": len(found) > len(chosen),
            "receivers": [{"url": url, "count": number} for url, number in receivers],
            "ids": ids,
        }
        return Response(ReplayedSerializer(body).data)


def _matching(rows: QuerySet[Delivery], wanted: dict[str, Any]) -> QuerySet[Delivery]:
    if wanted.get("service_name"):
        rows = rows.filter(service_name=names.check_service_name(wanted["service_name"]))
    if "ids" in wanted:
        rows = rows.filter(pk__in=wanted["ids"])
    if "topic" in wanted:
        rows = rows.filter(topic=wanted["topic"])
    if "since" in wanted:
        rows = rows.filter(created_at__gte=wanted["since"])
    return rows.filter(created_at__lt=wanted["until"]) if "until" in wanted else rows


def _find(rows: QuerySet[Delivery], delivery_id: str) -> Delivery:
    try:
        row = rows.filter(pk=uuid.UUID(delivery_id)).first()
    except ValueError:
        row = None
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id[:64]!r}.")
    return row


def _name(by: accounts.Caller | None) -> str:
    return "anonymous" if by is None else str(by)
