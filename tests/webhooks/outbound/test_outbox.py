"""Events become deliveries in the transaction that publishes them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from pytest_django import Settings

from registry import events
from registry.events import EventDraft
from registry.identity import accounts, local_token, people
from registry.models import ServiceAccount, Subscription
from tests.factories import ServiceFactory, SubscriptionFactory
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db


def publish(kind: str, name: str = "payment-service") -> None:
    with transaction.atomic():
        events.publish(EventDraft(type=kind, service_name=name, data={"reason": "tests"}))


def subscribe(*topics: str, **fields: str) -> Subscription:
    service = ServiceFactory.create(name="payment-service")
    subscription: Subscription = SubscriptionFactory.create(
        service=service, topics=list(topics), **fields
    )
    return subscription


def test_a_subscriber_is_sent_what_happened() -> None:
    subscription = subscribe("service.*")

    publish("service.expired")

    delivery = Delivery.objects.get()
    assert (delivery.subscription, delivery.url) == (subscription, subscription.callback_url)
    assert delivery.payload["type"] == "service.expired"
    assert delivery.payload["data"] == {
        "reason": "tests",
        "service_name": "payment-service",
        "event_id": delivery.event_id,
    }


@pytest.mark.parametrize(
    ("topics", "kind", "count"),
    [
        (["service.*"], "service.registered", 1),
        (["service.*"], "deployment.started", 0),
        (["lifecycle.crashed"], "lifecycle.crashed", 1),
        (["lifecycle.crashed"], "lifecycle.started", 0),
        (["deployment.*", "service.*"], "service.expired", 1),
        (["*"], "anything.at.all", 1),
        ([], "anything.at.all", 1),
        (["SERVICE.*"], "service.expired", 0),
    ],
)
def test_topics_are_globs(topics: list[str], kind: str, count: int) -> None:
    subscribe(*topics)

    publish(kind)

    assert Delivery.objects.count() == count


@pytest.mark.parametrize("state", ["pending", "suspended", "cancelled"])
def test_only_an_active_subscription_is_notified(state: str) -> None:
    subscribe(state=state)

    publish("service.expired")

    assert not Delivery.objects.exists()


def test_a_subscription_without_a_callback_is_not_notified() -> None:
    subscribe(callback_url="")

    publish("service.expired")

    assert not Delivery.objects.exists()


def test_another_services_events_are_not_reported() -> None:
    subscribe()

    publish("service.expired", "another-service")

    assert not Delivery.objects.exists()


def test_what_is_rolled_back_is_not_reported() -> None:
    subscribe()

    def fail() -> None:
        with transaction.atomic():
            events.publish(EventDraft(type="service.expired", service_name="payment-service"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not Delivery.objects.exists()


def test_many_subscribers_cost_two_queries_more(django_assert_num_queries: object) -> None:
    service = ServiceFactory.create(name="payment-service")
    SubscriptionFactory.create_batch(20, service=service)

    with django_assert_num_queries(5):  # type: ignore[operator]  # savepoint, event, two of ours
        publish("health.changed")

    assert Delivery.objects.count() == 20


# --- Subscriptions to patterns of names -----------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "covered"),
    [
        ("*", {"pay", "payment", "mail"}),
        ("pay*", {"pay", "payment"}),
        ("*ail", {"mail"}),
        ("p*y", {"pay"}),
    ],
)
def test_a_pattern_covers_services_by_their_names(glob: str, covered: set[str]) -> None:
    account = accounts.ensure_account("reader", scopes=["services:read"])
    SubscriptionFactory.create(service=None, service_glob=glob, account=account)
    for name in ("pay", "payment", "mail"):
        publish("service.expired", name)

    assert set(Delivery.objects.values_list("service_name", flat=True)) == covered


def test_a_pattern_keeps_to_its_topics_and_to_its_state() -> None:
    account = accounts.ensure_account("reader", scopes=["services:read"])
    SubscriptionFactory.create(
        service=None, service_glob="*", account=account, topics=["deployment.*"]
    )
    SubscriptionFactory.create(service=None, service_glob="*", account=account, state="suspended")

    publish("service.expired")
    publish("deployment.failed")

    assert [row.topic for row in Delivery.objects.all()] == ["deployment.failed"]


@pytest.mark.parametrize(
    ("mode", "account", "reported"),
    [
        ("required", {"scopes": ["services:read"]}, True),
        ("required", {"scopes": ["admin:registry"]}, True),
        ("required", {"scopes": ["webhooks:send"]}, False),
        ("required", {"scopes": ["services:read"], "is_active": False}, False),
        ("required", None, False),
        ("open", None, True),
        ("required", {"name": "oidc:reader"}, True),
        ("required", {"name": "oidc:reader", "is_active": False}, False),
        ("required", {"name": local_token.ACCOUNT}, False),
        ("local-token", {"name": local_token.ACCOUNT}, True),
    ],
)
def test_a_pattern_sends_only_what_its_account_may_read(
    settings: Settings, mode: str, account: dict[str, Any] | None, reported: bool
) -> None:
    settings.SAGA_AUTH = mode
    settings.SAGA_LOCAL_TOKEN = "x" * 44 if mode == "local-token" else ""
    owner = account and ServiceAccount.objects.create(**{"name": "reader", **account})
    SubscriptionFactory.create(service=None, service_glob="*", account=owner)

    publish("service.expired")

    assert Delivery.objects.exists() == reported


@pytest.mark.parametrize(("roles", "reported"), [(["viewers"], True), ([], False)])
def test_a_pattern_of_a_person_sends_what_its_roles_may_read(
    roles: list[str], reported: bool
) -> None:
    person = User.objects.create(username="otto", is_staff=True)
    person.groups.set(Group.objects.filter(name__in=roles))
    account = people.account_of(person)
    SubscriptionFactory.create(service=None, service_glob="*", account=account)

    publish("service.expired")

    assert Delivery.objects.exists() == reported
