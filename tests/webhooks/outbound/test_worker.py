"""Deliveries: at least once, two at a time to each receiver, never held up by another's."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import standardwebhooks
from django.test import TestCase
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from registry.background import work_slots
from registry.models import Event, Subscription
from saga_project.shared import crypto, stopping
from tests.factories import (
    ConfigurationFactory,
    DeliveryFactory,
    EndpointFactory,
    SubscriptionFactory,
)
from webhooks.models import Attempt, Delivery, receiver_of
from webhooks.outbound import attempts, claims, sender, worker

pytestmark = pytest.mark.django_db

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Status = Delivery.Status


def answer_with(httpserver: HTTPServer, status: int, **headers: str) -> str:
    httpserver.expect_request("/hook").respond_with_data("as you say", status, headers)
    return httpserver.url_for("/hook")


def deliver(url: str, **fields: Any) -> Delivery:
    """Make a delivery to ``url``, send what is due, and return the row as it is then."""
    row = DeliveryFactory.create(url=url, **fields)
    worker.run()
    row.refresh_from_db()
    return row


def age_lease(row: Delivery) -> None:
    Delivery.objects.filter(pk=row.pk).update(
        lease_expires_at=timezone.now() - dt.timedelta(seconds=1)
    )


# --- One attempt ----------------------------------------------------------------------------------


def test_a_delivery_that_is_taken_is_done(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 204))

    assert (row.status, row.attempt_count, row.lease) == (Status.DELIVERED, 1, None)
    assert row.finished_at is not None


def test_an_attempt_is_kept_with_status_latency_and_answer(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("\x00" + "a" * 5000, 503)

    row = deliver(httpserver.url_for("/hook"))

    attempt = Attempt.objects.get()
    assert (attempt.delivery_id, attempt.status) == (row.pk, 503)
    assert attempt.answer == "\ufffd" + "a" * 2047
    assert attempt.duration_ms < 10_000


def test_a_number_beyond_64_bits_is_delivered_and_holds_up_no_other(httpserver: HTTPServer) -> None:
    url = answer_with(httpserver, 204)
    other = DeliveryFactory.create(url=url)

    row = deliver(url, payload={"n": 10**30})

    other.refresh_from_db()
    assert (row.status, other.status) == (Status.DELIVERED, Status.DELIVERED)
    assert b'{"n":1000000000000000000000000000000}' in [each.data for each, _ in httpserver.log]


def test_a_failure_is_tried_again_in_about_a_minute(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 503))

    wait = row.next_attempt_at - timezone.now()
    assert (row.status, row.attempt_count) == (Status.PENDING, 1)
    assert dt.timedelta(seconds=50) < wait < dt.timedelta(seconds=70)


def test_retry_after_is_honoured(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 429, **{"Retry-After": "7200"}))

    wait = row.next_attempt_at - timezone.now()
    assert dt.timedelta(seconds=7190) < wait <= dt.timedelta(seconds=7200)


def test_refused_connection_is_retried_with_a_reason() -> None:
    row = deliver("http://127.0.0.1:1/hook")

    assert row.status == Status.PENDING
    assert Attempt.objects.get().error == "The receiver URL could not be reached."


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 307, Location="/elsewhere"))

    assert row.status == Status.DEAD
    assert len(httpserver.log) == 1


def test_an_address_that_is_refused_is_dead_with_the_rule() -> None:
    row = deliver("http://169.254.169.254/latest")

    assert row.status == Status.DEAD
    assert row.reason == "The receiver URL leads to an address that is never called."


def test_dies_after_the_seventh_attempt(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 500), attempt_count=6)

    assert (row.status, row.attempt_count) == (Status.DEAD, 7)
    assert row.reason == "The receiver answered 500. That was the last of 7 attempts."


@pytest.mark.parametrize(("answer", "fate"), [(204, "delivered"), (503, "retry"), (404, "dead")])
def test_every_attempt_is_counted_by_what_came_of_it(
    httpserver: HTTPServer, answer: int, fate: str
) -> None:
    counted = partial(REGISTRY.get_sample_value, "saga_delivery_attempts_total", {"fate": fate})
    before = counted() or 0

    deliver(answer_with(httpserver, answer))

    assert (counted() or 0) - before == 1


def test_every_attempt_carries_the_same_message(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 500))
    Delivery.objects.update(next_attempt_at=timezone.now())
    worker.run()

    first, second = (request for request, _ in httpserver.log)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"msg_{row.pk.hex}"
    assert first.data == second.data


# --- What is sent ---------------------------------------------------------------------------------


def test_an_event_is_signed_for_its_subscriber(httpserver: HTTPServer) -> None:
    subscription = SubscriptionFactory.create(sealed_secret=crypto.encrypt(SECRET))

    row = deliver(
        answer_with(httpserver, 200),
        kind=Delivery.Kind.EVENT,
        topic="service.expired",
        subscription=subscription,
        payload={"type": "service.expired"},
    )

    request, _ = httpserver.log[0]
    reported = standardwebhooks.Webhook(SECRET).verify(request.get_data(), dict(request.headers))
    assert reported == {"type": "service.expired"}
    assert row.status == Status.DELIVERED


def test_a_notification_is_signed_with_both_live_secrets(httpserver: HTTPServer) -> None:
    other = "whsec_" + "b" * 32
    ConfigurationFactory.create(
        sealed_secret=crypto.encrypt(SECRET),
        sealed_previous_secret=crypto.encrypt(other),
        previous_secret_until=timezone.now() + dt.timedelta(hours=1),
    )

    deliver(answer_with(httpserver, 200))

    request, _ = httpserver.log[0]
    for secret in (SECRET, other):
        standardwebhooks.Webhook(secret).verify(request.get_data(), dict(request.headers))


def test_a_platforms_own_format_carries_no_signature(httpserver: HTTPServer) -> None:
    ConfigurationFactory.create(sealed_secret=crypto.encrypt(SECRET))

    deliver(answer_with(httpserver, 200), topic="slack")

    request, _ = httpserver.log[0]
    assert "webhook-signature" not in request.headers


def test_a_subscription_that_ended_is_not_called_again(httpserver: HTTPServer) -> None:
    subscription = SubscriptionFactory.create(state=Subscription.State.CANCELLED)

    row = deliver(answer_with(httpserver, 200), kind="event", subscription=subscription)

    assert (row.status, row.reason) == (Status.DEAD, "The subscription is no longer active.")
    assert not httpserver.log


def test_a_secret_that_cannot_be_read_holds_up_only_its_own(httpserver: HTTPServer) -> None:
    url = answer_with(httpserver, 200)
    broken = SubscriptionFactory.create(sealed_secret="not ours", callback_url=url)
    other = DeliveryFactory.create(url=httpserver.url_for("/hook"))

    row = deliver(url, kind="event", subscription=broken)

    other.refresh_from_db()
    assert (row.status, other.status) == (Status.PENDING, Status.DELIVERED)
    assert "SAGA_ENCRYPTION_KEYS" in row.reason


# --- What follows ---------------------------------------------------------------------------------


def test_410_disables_the_endpoint(httpserver: HTTPServer) -> None:
    endpoint = EndpointFactory.create(url=answer_with(httpserver, 410))

    row = deliver(endpoint.url, endpoint=endpoint)

    endpoint.refresh_from_db()
    assert row.status == Status.DEAD
    assert endpoint.disabled_at is not None


def test_delivery_to_a_removed_channel_is_not_sent(httpserver: HTTPServer) -> None:
    url = answer_with(httpserver, 200)
    endpoint = EndpointFactory.create(url=url, disabled_at=timezone.now())

    row = deliver(url, endpoint=endpoint)

    assert (row.status, len(httpserver.log)) == (Delivery.Status.DEAD, 0)
    assert "410" in row.reason


def test_410_suspends_the_subscription(httpserver: HTTPServer) -> None:
    subscription = SubscriptionFactory.create(callback_url=answer_with(httpserver, 410))

    deliver(subscription.callback_url, kind="event", subscription=subscription)

    subscription.refresh_from_db()
    assert subscription.state == Subscription.State.SUSPENDED


def test_a_death_is_reported(httpserver: HTTPServer) -> None:
    row = deliver(answer_with(httpserver, 404))

    event = Event.objects.get(type="delivery.dead")
    assert event.service_name == row.service_name
    assert event.data["delivery_id"] == str(row.pk)
    assert "refuses for good" in event.data["reason"]


def test_the_death_of_such_news_is_not_reported(httpserver: HTTPServer) -> None:
    deliver(answer_with(httpserver, 404), topic="delivery.dead")

    assert not Event.objects.filter(type="delivery.dead").exists()


# --- Leases ---------------------------------------------------------------------------------------


def test_what_a_killed_worker_had_in_hand_is_sent_again(httpserver: HTTPServer) -> None:
    row = DeliveryFactory.create(url=answer_with(httpserver, 200))
    claims.claim(queues={}, room=1)
    age_lease(row)

    worker.run()

    row.refresh_from_db()
    assert (row.status, row.attempt_count) == (Status.DELIVERED, 2)


def test_leased_delivery_is_not_claimed_again() -> None:
    DeliveryFactory.create()
    claims.claim(queues={}, room=1)

    assert claims.claim(queues={}, room=1) == []


def test_result_without_a_lease_is_dropped(httpserver: HTTPServer) -> None:
    row = DeliveryFactory.create(url=answer_with(httpserver, 404))
    ((_, (late,)),) = claims.claim(queues={}, room=1)
    age_lease(row)
    claims.claim(queues={}, room=1)

    evaluations = attempts.record([sender.send(late)])

    row.refresh_from_db()
    assert evaluations == {}
    assert row.status == Status.SENDING


def test_what_was_claimed_too_early_is_given_back_unsent(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BEGIN_WITHIN_SECONDS", -1.0)
    monkeypatch.setattr(worker, "DRAIN_SECONDS", 0.0)

    row = deliver(answer_with(httpserver, 200))

    assert (row.status, row.attempt_count) == (Status.PENDING, 0)
    assert not httpserver.log


def acquire_all_slots(*, seconds: float) -> None:
    for _ in range(worker.MAX_DRAINS):
        assert work_slots.acquire(work_slots.DELIVERIES, seconds=seconds, places=worker.MAX_DRAINS)


def test_only_so_many_drains_work_at_once(httpserver: HTTPServer) -> None:
    acquire_all_slots(seconds=60)

    row = deliver(answer_with(httpserver, 200))

    assert row.status == Status.PENDING


def test_the_slots_of_drains_without_power_expire(httpserver: HTTPServer) -> None:
    acquire_all_slots(seconds=0)

    row = deliver(answer_with(httpserver, 200))

    assert row.status == Status.DELIVERED
    assert work_slots.held(work_slots.DELIVERIES) == 0


def test_a_drain_that_lost_its_slot_claims_nothing_more(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SLOT_RENEWED_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(worker, "SLOT_SECONDS", 0.0)
    url = answer_with(httpserver, 200)
    rows = DeliveryFactory.create_batch(claims.BATCH * 3, url=url)

    def steal(renew: Callable[..., bool], slot: work_slots.Slot, *, seconds: float) -> bool:
        work_slots.acquire(work_slots.DELIVERIES, seconds=60, places=worker.MAX_DRAINS)
        return renew(slot, seconds=seconds)

    monkeypatch.setattr(work_slots, "renew", partial(steal, work_slots.renew))

    assert worker.run() < len(rows)


def test_what_is_due_wakes_a_worker(redis: Any) -> None:
    worker.wake()
    assert redis.llen("webhooks") == 0

    DeliveryFactory.create()
    with TestCase.captureOnCommitCallbacks(execute=True):
        worker.wake()
    assert redis.llen("webhooks") == 1


def test_a_receiver_with_two_calls_in_flight_gets_no_third() -> None:
    rows = DeliveryFactory.create_batch(3)
    claimed = [claims.claim_one(row) for row in rows]

    assert [claimed_delivery is not None for claimed_delivery in claimed] == [True, True, False]


# --- Many -----------------------------------------------------------------------------------------


@pytest.fixture
def crowd() -> Iterator[HTTPServer]:
    """A server that answers several at once."""
    with HTTPServer(threaded=True) as server:
        yield server


class Counting:
    """A receiver that counts how many calls are with it at once."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.lock = threading.Lock()
        self.present = 0
        self.most = 0

    def __call__(self, request: Request) -> Response:
        with self.lock:
            self.present += 1
            self.most = max(self.most, self.present)
        try:
            return self.answer(request)
        finally:
            with self.lock:
                self.present -= 1


def test_a_long_queue_is_emptied_two_at_a_time(crowd: HTTPServer) -> None:
    meet = threading.Barrier(2)

    def take(request: Request) -> Response:
        meet.wait(10)
        return Response("ok")

    receiver = Counting(take)
    crowd.expect_request("/hook").respond_with_handler(receiver)
    DeliveryFactory.create_batch(60, url=crowd.url_for("/hook"))

    worker.run()

    assert Counter(Delivery.objects.values_list("status", flat=True)) == {"delivered": 60}
    assert len({request.headers["webhook-id"] for request, _ in crowd.log}) == 60
    assert receiver.most == 2


def test_what_is_claimed_and_not_begun_is_handed_back_at_sigterm(
    crowd: HTTPServer, redis: Any
) -> None:
    meet = threading.Barrier(2, action=stopping.begin)  # as Celery does when the signal arrives

    def take(request: Request) -> Response:
        if not stopping.has_begun():
            meet.wait(10)
        return Response("ok")

    crowd.expect_request("/hook").respond_with_handler(take)
    DeliveryFactory.create_batch(10, url=crowd.url_for("/hook"))

    try:
        with TestCase.captureOnCommitCallbacks(execute=True):
            sent = worker.run()
    finally:
        stopping.take_back()

    handed_back = Delivery.objects.filter(status=Status.PENDING)
    assert (sent, len(crowd.log)) == (2, 2)
    assert set(handed_back.values_list("attempt_count", "lease", "lease_expires_at")) == {
        (0, None, None)
    }
    assert handed_back.count() == 8
    assert redis.llen("webhooks") == 1  # another worker goes on at once


def test_hanging_receiver_does_not_delay_others(crowd: HTTPServer) -> None:
    """The hanging receiver answers only once all the others have been served."""
    served, all_served = Counter[str](), threading.Event()

    def hang(request: Request) -> Response:
        assert all_served.wait(10)
        return Response("at last")

    def quick(request: Request) -> Response:
        served[request.path] += 1
        if served.total() == 19 * 5:
            all_served.set()
        return Response("ok")

    crowd.expect_request("/0").respond_with_handler(hang)
    for number in range(20):
        if number:
            crowd.expect_request(f"/{number}").respond_with_handler(quick)
        DeliveryFactory.create_batch(5, url=crowd.url_for(f"/{number}"))

    worker.run()

    assert all_served.is_set()
    assert Counter(Delivery.objects.values_list("status", flat=True)) == {"delivered": 100}


def test_a_receiver_that_fails_at_random_gets_everything_in_the_end(crowd: HTTPServer) -> None:
    """As recorded: nothing lost, and what came twice came with the same id."""
    seen: Counter[str] = Counter()

    def moody(request: Request) -> Response:
        message_id = request.headers["webhook-id"]
        seen[message_id] += 1
        return Response(status=200 if seen[message_id] > uuid.UUID(message_id[4:]).int % 3 else 503)

    crowd.expect_request("/hook").respond_with_handler(moody)
    rows = DeliveryFactory.create_batch(60, url=crowd.url_for("/hook"))

    for _ in range(3):
        worker.run()
        Delivery.objects.filter(status=Status.PENDING).update(next_attempt_at=timezone.now())

    assert Counter(Delivery.objects.values_list("status", flat=True)) == {"delivered": 60}
    assert set(seen) == {f"msg_{row.pk.hex}" for row in rows}
    assert {row.receiver for row in rows} == {receiver_of(crowd.url_for("/hook"))}
