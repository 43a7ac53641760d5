"""Subscriptions over HTTP, in the Saga dialect."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names, operations
from registry.api.configured import managed_warning
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Subscription, manager_of
from saga_project.shared import api, http_client, rules, timestamps
from saga_project.shared.api import fields

MAX_TOPICS = 100
TOPIC = rules.PatternRule(
    pattern=r"[A-Za-z0-9._*?\[\]!-]{1,64}",
    message="A topic is an event's type or a glob such as service.*",
)
_STATES_TO_BEGIN_WITH = (
    Subscription.State.ACTIVE,
    Subscription.State.PENDING,
    Subscription.State.SUSPENDED,
)


def check_topics(topics: list[str]) -> list[str]:
    """Return the topics without repeats."""
    for topic in topics:
        if not TOPIC.allows(topic):
            raise serializers.ValidationError(TOPIC.message)
    return list(dict.fromkeys(topics))


class TopicField(fields.TextField):
    rule = TOPIC

    def __init__(self) -> None:
        super().__init__(allow_blank=False)


class SubscriptionRequestSerializer(serializers.Serializer[Any]):
    service_name = fields.TextField(
        rule=rules.SERVICE_NAME_OR_GLOB,
        help_text="A service, or `*` and patterns such as `pay*` for many.",
    )
    subscriber = fields.TextField(max_length=128)
    callback_url = fields.UrlField(required=False, allow_null=True, or_empty=True)
    topics = serializers.ListField(
        child=TopicField(), required=False, allow_null=True, max_length=MAX_TOPICS
    )
    state = serializers.ChoiceField(
        choices=_STATES_TO_BEGIN_WITH, required=False, allow_null=True, default="active"
    )

    def validate_topics(self, value: list[str]) -> list[str]:
        return check_topics(value)


class SubscriptionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    service_name = serializers.CharField()
    subscriber = serializers.CharField()
    callback_url = serializers.CharField(allow_null=True)
    topics = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=Subscription.State.choices)
    accepted = serializers.BooleanField(
        help_text="The service's owner accepted it, so that it keeps the service from being deregistered."
    )
    created_at = serializers.DateTimeField()


class SubscriptionChangeSerializer(serializers.Serializer[Any]):
    accepted = fields.FlagField(
        help_text="The owner of the service sets it: the subscription keeps the service registered."
    )
    callback_url = fields.UrlField(required=False, allow_null=True, or_empty=True)
    topics = serializers.ListField(
        child=TopicField(), required=False, allow_null=True, max_length=MAX_TOPICS
    )
    state = serializers.ChoiceField(
        choices=["active", "suspended", "cancelled"],
        required=False,
        allow_null=True,
        help_text="A cancelled subscription has ended for good.",
    )

    def validate_topics(self, value: list[str]) -> list[str]:
        return check_topics(value)


class NewSubscriptionSerializer(SubscriptionSerializer):
    secret = serializers.CharField(allow_null=True, help_text="Shown this once.")


class SubscriptionListSerializer(serializers.Serializer[Any]):
    subscriptions = SubscriptionSerializer(many=True)
    total = serializers.IntegerField()


def subscription_body(subscription: Subscription, *, by: Caller | None) -> dict[str, Any]:
    """Return what the caller sees; where a callback leads is the subscriber's."""
    url = subscription.callback_url
    if url and not _is_shown_callback(subscription, by):
        url = http_client.masked(url)
    return {
        "id": str(subscription.pk),
        "service_name": subscription.service_name,
        "subscriber": subscription.subscriber,
        "callback_url": url or None,
        "topics": subscription.topics,
        "state": subscription.state,
        "accepted": subscription.is_accepted,
        "created_at": timestamps.iso(subscription.created_at),
    }


def _is_shown_callback(subscription: Subscription, by: Caller | None) -> bool:
    """Whether the whole address is shown; to people only that of their own, as in the console."""
    if by is not None and by.person and not by.is_admin:
        return subscription.account_id == by.account.pk
    return operations.is_subscriber(subscription, by)


class SubscriptionListView(api.SagaView):
    own_parameters = ("service",)
    required_scopes = {"GET": "services:read", "POST": "registry:manage"}

    @extend_schema(
        operation_id="list_subscriptions",
        summary="List subscriptions, oldest first",
        tags=["subscriptions"],
        parameters=[
            fields.text_parameter(
                "service",
                "Those of one service, or of one pattern as it was written.",
                rule=rules.SERVICE_NAME_OR_GLOB,
                or_empty=True,
            ),
            fields.parameter("state", "Those in one state.", choices=Subscription.State.values),
            *fields.PAGE,
        ],
        responses={200: SubscriptionListSerializer},
    )
    def get(self, request: Request) -> Response:
        limit, offset = api.read_limit(request) or 100, api.read_offset(request)
        caller = accounts.caller_of(request.user)
        rows = operations.visible_subscriptions(caller)
        if service_name := api.read_text(request, "service"):
            rows = rows.filter(**_named(service_name, field="service"))
        if state := api.read_text(request, "state"):
            rows = rows.filter(state=_check_state(state))
        page = [subscription_body(row, by=caller) for row in rows[offset : offset + limit]]
        return Response({"subscriptions": page, "total": rows.count()})

    @extend_schema(
        operation_id="subscribe",
        summary="Depend on a service, and receive its events",
        tags=["subscriptions"],
        request=SubscriptionRequestSerializer,
        responses={201: NewSubscriptionSerializer},
    )
    def post(self, request: Request) -> Response:
        shape = SubscriptionRequestSerializer(data=fields.given(request.data))
        shape.is_valid(raise_exception=True)
        data = shape.validated_data
        callback_url = data.get("callback_url", "")
        if callback_url:
            http_client.check_url(callback_url, field="callback_url")
        caller = accounts.caller_of(request.user)
        subscription, secret = operations.subscribe(
            _check_name(data["service_name"]),
            subscriber=data["subscriber"],
            by=caller,
            callback_url=callback_url,
            topics=data.get("topics"),
            state=data["state"],
        )
        body = subscription_body(subscription, by=caller)
        return Response({**body, "secret": secret}, status=201)


class SubscriptionView(api.SagaView):
    required_scopes = {
        "GET": "services:read",
        "PATCH": "registry:manage",
        "DELETE": "registry:manage",
    }

    @extend_schema(
        operation_id="get_subscription",
        summary="See a subscription",
        tags=["subscriptions"],
        responses={200: SubscriptionSerializer},
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        caller = accounts.caller_of(request.user)
        subscription = operations.find_subscription(_read_id(subscription_id), by=caller)
        return Response(subscription_body(subscription, by=caller))

    @extend_schema(
        operation_id="change_subscription",
        summary="Accept a subscription to a service of yours, or change a subscription of yours",
        tags=["subscriptions"],
        request=SubscriptionChangeSerializer,
        responses={200: NewSubscriptionSerializer},
    )
    def patch(self, request: Request, subscription_id: str) -> Response:
        shape = SubscriptionChangeSerializer(data=fields.given(request.data))
        shape.is_valid(raise_exception=True)
        data = shape.validated_data
        if data.get("callback_url"):
            http_client.check_url(data["callback_url"], field="callback_url")
        caller = accounts.caller_of(request.user)
        subscription, secret = operations.change_subscription(
            _read_id(subscription_id),
            operations.SubscriptionChange(
                is_accepted=data.get("accepted"),
                state=data.get("state"),
                callback_url=data.get("callback_url"),
                topics=data.get("topics"),
            ),
            by=caller,
            now=timezone.now(),
        )
        body = {**subscription_body(subscription, by=caller), "secret": secret}
        return Response(body, headers=managed_warning(manager_of(subscription)))

    @extend_schema(
        operation_id="cancel_subscription",
        summary="Cancel a subscription",
        tags=["subscriptions"],
        responses={200: SubscriptionSerializer},
    )
    def delete(self, request: Request, subscription_id: str) -> Response:
        caller = accounts.caller_of(request.user)
        subscription = operations.cancel_subscription(
            _read_id(subscription_id), by=caller, now=timezone.now()
        )
        body = subscription_body(subscription, by=caller)
        return Response(body, headers=managed_warning(manager_of(subscription)))


def _check_name(text: str, *, field: str = "service_name") -> str:
    if names.is_glob(text):
        return names.check_service_glob(text, field=field)
    return names.check_service_name(text, field=field)


def _named(text: str, *, field: str) -> dict[str, str]:
    """Return the filter for subscriptions to one service, or to one pattern."""
    column = "service_glob" if names.is_glob(text) else "service__name"
    return {column: _check_name(text, field=field)}


def _check_state(text: str) -> str:
    if text not in Subscription.State.values:
        raise api.InvalidParameter(
            f"'state' is one of {', '.join(Subscription.State.values)}.", field="state"
        )
    return text


def _read_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise errors.SubscriptionNotFound("There is no such subscription.") from None
