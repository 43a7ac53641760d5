"""Events become deliveries in the transaction that publishes them."""

from __future__ import annotations

import pytest
from django.db import transaction

from registry import events
from registry.events import Fact
from registry.models import Subscription
from tests.factories import ServiceFactory, SubscriptionFactory
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db


def publish(kind: str, name: str = "payment-service") -> None:
    with transaction.atomic():
        events.publish(Fact(type=kind, service_name=name, data={"reason": "tests"}))


def subscribe(*topics: str, **fields: str) -> Subscription:
    service = ServiceFactory.create(name="payment-service")
    subscription: Subscription = SubscriptionFactory.create(
        service=service, topics=list(topics), **fields
    )
    return subscription


def test_a_subscriber_is_told_what_happened() -> None:
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
def test_only_an_active_subscription_is_told(state: str) -> None:
    subscribe(state=state)

    publish("service.expired")

    assert not Delivery.objects.exists()


def test_a_subscription_without_a_callback_is_not_told() -> None:
    subscribe(callback_url="")

    publish("service.expired")

    assert not Delivery.objects.exists()


def test_another_services_events_are_not_told() -> None:
    subscribe()

    publish("service.expired", "another-service")

    assert not Delivery.objects.exists()


def test_what_is_rolled_back_is_not_told() -> None:
    subscribe()

    def fail() -> None:
        with transaction.atomic():
            events.publish(Fact(type="service.expired", service_name="payment-service"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not Delivery.objects.exists()


def test_many_subscribers_cost_two_queries_more(django_assert_num_queries: object) -> None:
    service = ServiceFactory.create(name="payment-service")
    SubscriptionFactory.create_batch(20, service=service)

    with django_assert_num_queries(5):  # type: ignore[operator]  # savepoint, event, two of ours
        publish("service.expired")

    assert Delivery.objects.count() == 20
