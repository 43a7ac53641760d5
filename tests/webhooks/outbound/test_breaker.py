"""Receivers that keep failing are paused, probed, disabled and resumed."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from registry.models import Event
from tests.factories import DeliveryFactory, ReceiverFactory
from webhooks.models import Receiver, receiver_of
from webhooks.operations import receivers, replays
from webhooks.outbound import attempts, breaker, claims, sender
from webhooks.outbound.retry_schedule import AttemptOutcome

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:1/hook"


def reported() -> list[str]:
    rows = Event.objects.filter(type__startswith="receiver.").order_by("pk")
    return [event.type for event in rows]


def attempt(status: int | None) -> None:
    """Record one attempt of a delivery of its own."""
    delivery = DeliveryFactory.create()
    claimed = claims.claim_one(delivery)
    assert claimed is not None
    outcome = AttemptOutcome(status=status, error="" if status else "no answer")
    attempts.record([sender.Sent(claimed, outcome, timezone.now())])


def note(*, seconds: float, has_failed: bool = True) -> None:
    moment = timezone.now() + dt.timedelta(seconds=seconds)
    breaker.note([DeliveryFactory.build()], {receiver_of(URL): has_failed}, now=moment)


def test_ten_failures_within_a_minute_pause_nothing() -> None:
    for _ in range(10):
        attempt(503)

    row = Receiver.objects.get()
    assert (row.failures, row.paused_at, reported()) == (10, None, [])


def test_a_receiver_that_keeps_failing_is_paused_then_disabled_and_each_is_reported_once() -> None:
    for number in range(12):
        note(seconds=number * 10)
    paused = Receiver.objects.get()
    note(seconds=6 * 86_400)
    note(seconds=6 * 86_400 + 300)

    assert paused.paused_at is not None
    assert paused.probe_at is not None
    assert Receiver.objects.get().disabled_at is not None
    assert reported() == ["receiver.paused", "receiver.disabled"]


def test_an_answer_ends_the_pause() -> None:
    ReceiverFactory.create()

    attempt(200)

    assert not Receiver.objects.exists()
    assert reported() == ["receiver.resumed"]


@pytest.mark.parametrize("status", [200, 400, 404, 410])
def test_a_receiver_that_answers_is_well(status: int) -> None:
    attempt(status)

    assert not Receiver.objects.exists()


def test_what_waits_for_a_paused_receiver_uses_up_no_attempt() -> None:
    later = timezone.now() + dt.timedelta(minutes=5)
    ReceiverFactory.create(probe_at=later)
    DeliveryFactory.create_batch(3)
    elsewhere = DeliveryFactory.create(url="http://127.0.0.1:1/other")

    late = claims.undelivered_seconds()
    claimed = claims.claim(queues={}, room=10)

    assert [each.delivery_id for _, batch in claimed for each in batch] == [elsewhere.pk]
    assert late > 0  # of the other one; what waits for a paused receiver is not late
    assert claims.undelivered_seconds() == 0


def test_one_delivery_is_the_probe() -> None:
    ReceiverFactory.create()
    DeliveryFactory.create_batch(3)

    first, second = claims.claim(queues={}, room=10), claims.claim(queues={}, room=10)

    assert [(places, len(batch)) for places, batch in first] == [(1, 1)]
    assert second == []


@pytest.mark.usefixtures("redis")
def test_what_waits_for_its_next_attempt_is_due_once_the_receiver_is_resumed(
    api: APIClient,
) -> None:
    row = ReceiverFactory.create()
    tomorrow = timezone.now() + dt.timedelta(days=1)
    waiting = DeliveryFactory.create(next_attempt_at=tomorrow)
    elsewhere = DeliveryFactory.create(url="http://127.0.0.1:1/other", next_attempt_at=tomorrow)

    api.post(f"/api/v1/receivers/{row.pk}/resume")

    claimed = claims.claim(queues={}, room=10)
    assert [each.delivery_id for _, batch in claimed for each in batch] == [waiting.pk]
    elsewhere.refresh_from_db()
    assert elsewhere.next_attempt_at == tomorrow


def test_a_receiver_stays_disabled_where_what_it_missed_cannot_be_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = ReceiverFactory.create(disabled_at=timezone.now())

    def end(*_args: object, **_options: object) -> None:
        raise RuntimeError("the process ends here")

    monkeypatch.setattr(replays, "_record", end)
    with pytest.raises(RuntimeError):
        receivers.resume_receiver(row.pk, by="anna", now=timezone.now())

    assert Receiver.objects.filter(pk=row.pk).exists()
    assert reported() == []


@pytest.mark.usefixtures("redis")
def test_what_a_disabled_receiver_missed_is_sent_once_it_is_resumed(api: APIClient) -> None:
    row = ReceiverFactory.create(disabled_at=timezone.now())
    missed = DeliveryFactory.create()
    [(_, [claimed])] = claims.claim(queues={}, room=10)
    attempts.record([sender.send(claimed)])
    missed.refresh_from_db()
    status_before = missed.status

    shown = api.get(f"/api/v1/receivers/{row.pk}").json()
    answer = api.post(f"/api/v1/receivers/{row.pk}/resume")
    again = api.post(f"/api/v1/receivers/{row.pk}/resume")

    missed.refresh_from_db()
    assert (status_before, missed.status) == ("dead", "pending")
    assert (shown["state"], shown["url"]) == ("disabled", "http://127.0.0.1:1/…")
    assert (answer.json(), again.status_code) == ({"replayed": 1}, 404)
    assert claims.claim(queues={}, room=10)
