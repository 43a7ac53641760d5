"""A delivery that cannot be made, or with an answer that cannot be kept, holds up no other."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer

from tests.factories import DeliveryFactory, EndpointFactory
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.operations import configuration
from webhooks.outbound import notices, rendering, worker
from webhooks.outbound.channels import slack
from webhooks.outbound.channels.notification import Notification
from webhooks.outbound.retry_schedule import AttemptOutcome

pytestmark = pytest.mark.django_db

Status = Delivery.Status
MAIL = "mailto:ops@x.example"


def waiting_for(endpoint: Endpoint) -> Delivery:
    notification = Notification("shop", "It broke.", "error", timezone.now())
    return notices.make_delivery(endpoint, notification, kind=Delivery.Kind.NOTIFICATION)


def configure(endpoint: Endpoint, url: str) -> None:
    configuration.configure(
        endpoint.configuration.service_name,
        endpoints={endpoint.channel: url},
        secret=configuration.UNSET,
        now=timezone.now(),
    )


def deliver_beside(httpserver: HTTPServer, row: Delivery) -> Delivery:
    """Send all that is due, and return another delivery as it is then."""
    httpserver.expect_request("/other").respond_with_data("", 204)
    other = DeliveryFactory.create(url=httpserver.url_for("/other"))
    worker.run()
    row.refresh_from_db()
    other.refresh_from_db()
    return other


def test_mail_that_waits_is_dead_once_its_channel_leads_to_a_url(httpserver: HTTPServer) -> None:
    endpoint = EndpointFactory.create(channel="ops", url=MAIL)
    row = waiting_for(endpoint)
    configure(endpoint, httpserver.url_for("/hook"))

    other = deliver_beside(httpserver, row)

    assert (row.status, other.status) == (Status.DEAD, Status.DELIVERED)
    assert "another kind of address" in row.reason


def test_message_that_waits_is_dead_once_its_channel_leads_to_mail(httpserver: HTTPServer) -> None:
    endpoint = EndpointFactory.create(channel="slack", url=httpserver.url_for("/hook"))
    row = waiting_for(endpoint)
    configure(endpoint, MAIL)

    other = deliver_beside(httpserver, row)

    assert (row.status, other.status) == (Status.DEAD, Status.DELIVERED)
    assert "another kind of address" in row.reason


@pytest.mark.parametrize("form", ["email", ""])
def test_channel_that_leads_to_a_url_now_sends_no_mail(form: str, httpserver: HTTPServer) -> None:
    endpoint = EndpointFactory.create(channel="ops", url=MAIL, format=form)
    httpserver.expect_request("/hook").respond_with_data("", 204)
    configure(endpoint, httpserver.url_for("/hook"))
    endpoint.refresh_from_db()

    row = waiting_for(endpoint)
    other = deliver_beside(httpserver, row)

    assert (row.format, row.status, other.status) == (
        "standard",
        Status.DELIVERED,
        Status.DELIVERED,
    )


def test_message_that_cannot_be_made_is_tried_again_and_holds_up_no_other(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = waiting_for(EndpointFactory.create(channel="ops", url=httpserver.url_for("/hook")))
    render = rendering.render

    def fail_for_one(delivery: Delivery) -> rendering.RenderedMessage:
        if delivery.pk == row.pk:
            raise RuntimeError("a fault of Saga's own")
        return render(delivery)

    monkeypatch.setattr(rendering, "render", fail_for_one)
    other = deliver_beside(httpserver, row)

    assert (row.status, row.attempt_count) == (Status.PENDING, 1)
    assert "its log says why" in Attempt.objects.get(delivery=row).error
    assert other.status == Status.DELIVERED


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False, "error": "a\x00b"},
        {"ok": False, "error": "a\ud800b"},
        {"ok": True, "ts": "1\x002"},
        {"ok": True, "ts": "1\ud8002"},
    ],
)
def test_characters_that_cannot_be_kept_are_replaced_in_what_a_receiver_says(
    answer: dict[str, object], httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api").respond_with_data(json.dumps(answer), 200)
    row = waiting_for(EndpointFactory.create(channel="slack", url=httpserver.url_for("/api")))

    other = deliver_beside(httpserver, row)

    assert row.status == (Status.DELIVERED if answer["ok"] else Status.DEAD)
    assert "\ufffd" in row.remote_id + row.reason
    assert other.status == Status.DELIVERED


def test_answer_that_is_nested_too_deeply_ends_the_attempt(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api").respond_with_data("[" * 4096, 503)
    row = waiting_for(EndpointFactory.create(channel="slack", url=httpserver.url_for("/api")))

    other = deliver_beside(httpserver, row)

    assert (row.status, row.attempt_count) == (Status.PENDING, 1)
    assert "answered 503" in row.reason
    assert other.status == Status.DELIVERED


def test_attempt_that_breaks_is_tried_again(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(outcome: AttemptOutcome) -> AttemptOutcome:
        raise RuntimeError("a fault of Saga's own")

    monkeypatch.setattr(slack, "read_answer", fail)
    httpserver.expect_request("/api").respond_with_data("ok", 200)
    row = waiting_for(EndpointFactory.create(channel="slack", url=httpserver.url_for("/api")))

    other = deliver_beside(httpserver, row)

    assert (row.status, other.status) == (Status.PENDING, Status.DELIVERED)
    assert "its log says why" in row.reason
