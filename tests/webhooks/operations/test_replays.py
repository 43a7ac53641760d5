"""What staff have done again: dead deliveries get fresh attempts, kept calls act once more."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry import operations as registry_operations
from registry.models import Event
from tests.factories import DeliveryFactory, EndpointFactory, SubscriptionFactory
from webhooks import errors, inbound, operations, signatures
from webhooks.models import Delivery, InboundCall, receiver_of
from webhooks.outbound import worker
from webhooks.signatures import Proof

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
SECRET = "webhook-secret-key"
CRASH = {"service_name": NAME, "event": "crashed"}
NEW_URL = "http://127.0.0.1:9/corrected"
Status = Delivery.Status
OTTO = inbound.Person("otto", lambda _permission: True)


def dead(**fields: Any) -> Delivery:
    return DeliveryFactory.create(
        status=Status.DEAD, attempt_count=7, finished_at=timezone.now(), **fields
    )


def replay(*rows: Delivery) -> int:
    return operations.replay_deliveries([row.pk for row in rows], by="otto", now=timezone.now())


def crash(api: APIClient, raw: bytes, *, signature: str = "") -> InboundCall:
    """Report a crash of a service, and return the call as it was kept."""
    registration = registry_operations.Registration(service_name=NAME, url="http://localhost:8001")
    registry_operations.register(registration, by=None, now=timezone.now())
    headers = {"X-Webhook-Signature": signature} if signature else {}
    api.post("/api/v1/webhooks/lifecycle", raw, content_type="application/json", headers=headers)
    return InboundCall.objects.get()


# --- Deliveries -----------------------------------------------------------------------------------


def test_a_dead_delivery_is_sent_again_with_all_its_attempts(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("busy", 503)
    row = dead(url=httpserver.url_for("/hook"))

    count = replay(row)
    worker.run()

    row.refresh_from_db()
    assert count == 1
    assert (row.status, row.attempt_count, row.finished_at) == (Status.PENDING, 1, None)
    assert len(httpserver.log) == 1


def test_replay_records_its_requester() -> None:
    row = dead()

    replay(row)

    row.refresh_from_db()
    assert row.reason == "Replayed by otto."


def test_many_are_sent_again_at_once() -> None:
    rows = [dead() for _ in range(5)]

    assert replay(*rows) == 5
    assert set(Delivery.objects.values_list("status", flat=True)) == {Status.PENDING}


@pytest.mark.parametrize("status", [Status.PENDING, Status.SENDING, Status.DELIVERED])
def test_what_is_not_dead_is_left_alone(status: str) -> None:
    # What is being sent has a lease, as the table demands.
    lease = {"lease": uuid.uuid4(), "lease_expires_at": timezone.now()}
    row = DeliveryFactory.create(status=status, **(lease if status == Status.SENDING else {}))

    assert replay(row) == 0
    row.refresh_from_db()
    assert (row.status, row.reason) == (status, "")


def test_goes_where_its_channel_leads_now() -> None:
    row = dead(endpoint=EndpointFactory.create(url=NEW_URL), url="http://127.0.0.1:9/broken")

    replay(row)

    row.refresh_from_db()
    assert (row.url, row.receiver) == (NEW_URL, receiver_of(NEW_URL))


def test_goes_where_its_subscriber_listens_now() -> None:
    subscription = SubscriptionFactory.create(callback_url=NEW_URL)
    row = dead(kind=Delivery.Kind.EVENT, subscription=subscription, url="http://127.0.0.1:9/broken")

    replay(row)

    row.refresh_from_db()
    assert (row.url, row.receiver) == (NEW_URL, receiver_of(NEW_URL))


# --- Inbound calls --------------------------------------------------------------------------------


def test_a_kept_call_acts_once_more_and_is_kept_as_a_replay(api: APIClient) -> None:
    first = crash(api, json.dumps(CRASH).encode())

    answer = inbound.replay_call(first.pk, by=OTTO, now=timezone.now())

    assert answer.status == 200
    assert Event.objects.filter(type="lifecycle.crashed").count() == 2
    assert InboundCall.objects.get(replay_of=first).verdict == InboundCall.Verdict.ACCEPTED


def test_a_replay_carries_nothing_of_what_the_call_once_proved(api: APIClient) -> None:
    operations.configure(NAME, endpoints=None, secret=SECRET, now=timezone.now())
    raw = json.dumps(CRASH).encode()
    first = crash(api, raw, signature=signatures.sign_body(raw, secret=SECRET))
    operations.configure(NAME, endpoints=None, secret="another one since then", now=timezone.now())

    answer = inbound.replay_call(first.pk, by=OTTO, now=timezone.now())

    assert answer.status == 200
    replay = InboundCall.objects.get(replay_of=first)
    assert (replay.proof, replay.caller) == (Proof.NOTHING, "staff:otto")


@pytest.mark.parametrize("raw", [json.dumps(CRASH).encode(), b'{"service_name": "payment'])
def test_a_call_without_its_signature_or_its_body_is_not_replayed(
    api: APIClient, raw: bytes
) -> None:
    operations.configure(NAME, endpoints=None, secret=SECRET, now=timezone.now())
    first = crash(api, raw)

    with pytest.raises(errors.NotReplayable):
        inbound.replay_call(first.pk, by=OTTO, now=timezone.now())
    assert InboundCall.objects.count() == 1


def test_a_call_that_was_purged_is_not_replayed() -> None:
    with pytest.raises(errors.NotReplayable):
        inbound.replay_call(uuid.uuid4(), by=OTTO, now=timezone.now())
