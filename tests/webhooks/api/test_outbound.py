"""Notifications and configuration, and the scopes of their routes."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import Event, Service
from tests.factories import DeliveryFactory, EndpointFactory, ServiceFactory
from webhooks import operations, retention, signatures
from webhooks.models import (
    GLOBAL,
    Configuration,
    Delivery,
    Endpoint,
    InboundCall,
    receiver_of,
)
from webhooks.outbound import sender, worker

LONG = "a secret with enough bytes"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
CONFIG = "/api/v1/webhooks/config"
NOTIFY = {"service_name": NAME, "channel": "pager", "message": "hello"}


def post(api: APIClient, route: str, body: dict[str, Any], **headers: str) -> Any:
    return api.post(
        f"/api/v1/webhooks/{route}",
        json.dumps(body),
        content_type="application/json",
        headers=headers,
    )


@pytest.fixture
def service() -> Service:
    return ServiceFactory.create(name=NAME)


def lead_to(httpserver: HTTPServer, status: int, *, name: str = NAME, **headers: str) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status, headers)
    endpoints = {"pager": httpserver.url_for("/hook")}
    operations.configure(name, endpoints=endpoints, secret=operations.UNSET, now=timezone.now())


# --- Notifications --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 409])
def test_sent_only_when_the_receiver_took_it(
    api: APIClient, service: Service, httpserver: HTTPServer, status: int
) -> None:
    lead_to(httpserver, status)

    response = post(api, "notify", NOTIFY)

    assert response.status_code == 200
    assert response.json() == {"status": "sent", "message": "Notification sent via pager"}


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_queued_where_the_receiver_fails_for_now(
    api: APIClient, service: Service, httpserver: HTTPServer, status: int
) -> None:
    lead_to(httpserver, status)

    response = post(api, "notify", NOTIFY)

    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert Delivery.objects.get().status == Delivery.Status.PENDING


def test_queued_where_a_success_reports_a_failure_in_its_body(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 200)
    httpserver.clear_all_handlers()
    text = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"
    httpserver.expect_request("/hook").respond_with_data(text)

    response = post(api, "notify", NOTIFY)

    assert (response.status_code, response.json()["status"]) == (202, "queued")


def test_every_attempt_sends_the_same_bytes(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 503)
    post(api, "notify", NOTIFY)
    Delivery.objects.update(next_attempt_at=timezone.now() - dt.timedelta(seconds=1))

    worker.run()

    first, second = [request.data for request, _ in httpserver.log]
    assert first == second


def test_notification_links_to_the_service_at_the_public_address(
    api: APIClient, service: Service, httpserver: HTTPServer, settings: Settings
) -> None:
    settings.SAGA_PUBLIC_URL = "https://saga.example.com"
    lead_to(httpserver, 200)

    post(api, "notify", NOTIFY)

    request, _ = httpserver.log[0]
    assert json.loads(request.data)["data"]["link"] == (
        f"https://saga.example.com/admin/services/{NAME}/"
    )


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
def test_rejected_where_the_receiver_refuses_for_good(
    api: APIClient, service: Service, httpserver: HTTPServer, status: int
) -> None:
    lead_to(httpserver, status)

    response = post(api, "notify", NOTIFY)

    assert (response.status_code, response.json()["error"]) == (502, "Notification rejected")
    assert Delivery.objects.get().status == Delivery.Status.DEAD


def test_queued_where_two_calls_are_with_the_receiver_already(
    api: APIClient, service: Service
) -> None:
    endpoint = EndpointFactory.create(configuration__service=service)
    lease = {"status": "sending", "lease": "0" * 32, "lease_expires_at": timezone.now()}
    lease["lease_expires_at"] = timezone.now() + dt.timedelta(minutes=1)
    DeliveryFactory.create_batch(2, url=endpoint.url, **lease)

    assert post(api, "notify", NOTIFY).status_code == 202


def test_the_same_notification_again_is_sent_once(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 200)

    answers = [post(api, "notify", NOTIFY, **{"webhook-id": "msg_1"}) for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert len(httpserver.log) == 1


def test_a_notification_under_one_idempotency_key_is_sent_once(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 200)

    answers = [post(api, "notify", NOTIFY, **{"Idempotency-Key": "k1"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert len(httpserver.log) == 1


def test_the_answer_under_the_key_is_committed_before_the_receiver_is_called(
    api: APIClient, service: Service, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to(httpserver, 200)

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(sender, "send", die)
        with pytest.raises(SystemExit):
            post(api, "notify", NOTIFY, **{"Idempotency-Key": "k1"})
    again = post(api, "notify", NOTIFY, **{"Idempotency-Key": "k1"})

    assert (again.status_code, again.json()["status"]) == (202, "queued")
    assert Delivery.objects.count() == 1


def test_a_rejected_notification_frees_its_idempotency_key(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 404)
    rejected = post(api, "notify", NOTIFY, **{"Idempotency-Key": "k1"})
    httpserver.clear()
    lead_to(httpserver, 200)

    sent = post(api, "notify", NOTIFY, **{"Idempotency-Key": "k1"})

    assert (rejected.status_code, sent.status_code) == (502, 200)


@pytest.mark.parametrize(
    ("route", "extra"),
    [
        ("update", {"version": "1.0.0", "artifact_url": "http://127.0.0.1:9/pay"}),
        ("deploy", {"version": "1.0.0", "artifact_url": "http://127.0.0.1:9/pay"}),
        ("check-updates", {}),
        ("health", {"status": "degraded"}),
        ("lifecycle", {"event": "started"}),
        ("config", {"secret": "s" * 32}),
    ],
)
def test_every_webhook_route_acts_once_under_one_idempotency_key(
    api: APIClient, service: Service, route: str, extra: dict[str, Any]
) -> None:
    body = {"service_name": NAME, **extra}

    answers = [post(api, route, body, **{"Idempotency-Key": "k1"}) for _ in range(2)]

    assert 200 <= answers[0].status_code < 300, answers[0].content
    assert answers[0].content == answers[1].content
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert InboundCall.objects.filter(route=route).count() == 1


def test_a_refused_call_under_an_idempotency_key_is_kept(api: APIClient, service: Service) -> None:
    answer = post(api, "health", {"service_name": NAME}, **{"Idempotency-Key": "k1"})

    assert answer.status_code == 400
    assert InboundCall.objects.get().status == 400


def test_falls_back_to_the_global_channel(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 200, name=GLOBAL)

    assert post(api, "notify", NOTIFY).status_code == 200


@pytest.mark.parametrize("channel", ["slack", "", "pager "])
def test_channel_that_is_not_configured_is_rejected(
    api: APIClient, service: Service, httpserver: HTTPServer, channel: str
) -> None:
    lead_to(httpserver, 200)

    response = post(api, "notify", {**NOTIFY, "channel": channel})

    assert response.status_code == 400
    assert not Delivery.objects.exists()


def test_channel_is_disabled_by_410_until_it_is_configured_again(
    api: APIClient, service: Service, httpserver: HTTPServer
) -> None:
    lead_to(httpserver, 410)
    post(api, "notify", NOTIFY)

    off = post(api, "notify", NOTIFY)
    lead_to(httpserver, 410)
    on = post(api, "notify", NOTIFY)

    assert (off.status_code, off.json()["error"]) == (400, "Channel not configured")
    assert on.status_code == 502


@pytest.mark.parametrize(
    "changed", [{"severity": "fatal"}, {"severity": 1}, {"message": None}, {"message": ""}]
)
def test_refuses_a_notification_that_says_nothing(
    api: APIClient, service: Service, changed: dict[str, Any]
) -> None:
    assert post(api, "notify", {**NOTIFY, **changed}).status_code == 400


# --- Configuration --------------------------------------------------------------------------------


def test_the_global_configuration_is_empty_until_set(api: APIClient) -> None:
    assert api.get(CONFIG).json() == {"service_name": None, "endpoints": {}, "configured_at": None}


def test_sets_the_global_configuration(api: APIClient) -> None:
    response = post(api, "config", {"endpoints": {"pager": "http://a.example/"}})

    assert response.json()["message"] == "Global webhook configuration updated"
    assert api.get(CONFIG).json()["endpoints"] == {"pager": "http://a.example/"}


def test_a_service_without_configuration_is_404(api: APIClient, service: Service) -> None:
    assert api.get(CONFIG, {"service_name": NAME}).status_code == 404


def test_endpoints_replace_the_whole_map_and_the_secret_is_kept(api: APIClient) -> None:
    two = {"a": "http://a.example/", "b": "http://b.example/"}
    post(api, "config", {"service_name": NAME, "endpoints": two, "secret": LONG})

    post(api, "config", {"service_name": NAME, "endpoints": {"c": "http://c.example/"}})

    assert api.get(CONFIG, {"service_name": NAME}).json()["endpoints"] == {"c": "http://c.example/"}
    assert Configuration.objects.get().sealed_secret


def test_what_waits_goes_where_its_channel_leads_now(api: APIClient) -> None:
    old = {"pager": "http://localhost:9/old", "slack": "http://localhost:9/slack"}
    new = {"pager": "http://localhost:9/new"}
    post(api, "config", {"service_name": NAME, "endpoints": old})
    pager, slack = (
        DeliveryFactory.create(endpoint=Endpoint.objects.get(channel=channel), topic=channel)
        for channel in ("pager", "slack")
    )

    post(api, "config", {"service_name": NAME, "endpoints": new})

    pager.refresh_from_db()
    slack.refresh_from_db()
    assert (pager.status, pager.url) == (Delivery.Status.PENDING, new["pager"])
    assert pager.receiver == receiver_of(pager.url)
    assert (slack.status, slack.endpoint) == (Delivery.Status.DEAD, None)
    assert "taken out" in slack.reason


def test_a_secret_of_null_is_removed_and_endpoints_are_kept(api: APIClient) -> None:
    endpoints = {"a": "http://a.example/"}
    post(api, "config", {"service_name": NAME, "endpoints": endpoints, "secret": LONG})

    response = post(api, "config", {"service_name": NAME, "secret": None})

    assert response.status_code == 200
    assert Configuration.objects.get().sealed_secret == ""
    assert api.get(CONFIG, {"service_name": NAME}).json()["endpoints"] == endpoints


def test_a_configuration_is_reported(api: APIClient) -> None:
    post(api, "config", {"service_name": NAME, "secret": LONG})

    event = Event.objects.get(type="webhook.configured")
    assert (event.service_name, event.data) == (NAME, {"channels": [], "has_secret": True})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"endpoints": None},
        {"endpoints": []},
        {"endpoints": "http://a.example/"},
        {"endpoints": {"a": None}},
        {"endpoints": {"a": 1}},
        {"endpoints": {"a": "ftp://a.example/"}},
        {"endpoints": {"a": "http://u:p@a.example/"}},
        {"endpoints": {"": "http://a.example/"}},
        {"endpoints": {"a b": "http://a.example/"}},
        {"endpoints": {"a" * 65: "http://a.example/"}},
        {"endpoints": {f"c{n}": "http://a.example/" for n in range(101)}},
        {"secret": ""},
        {"secret": "fifteen letters"},
        {"secret": "whsec_MTIzNDU2Nzg5MDEyMzQ1"},
        {"secret": 1},
        {"secret": "a" * 513},
        {"secret": "whsec_"},
        {"secret": "whsec_not base64"},
        {"service_name": "a b", "secret": LONG},
    ],
)
def test_refuses_what_cannot_be_configured(api: APIClient, body: dict[str, Any]) -> None:
    response = post(api, "config", {"service_name": NAME, **body})

    assert response.status_code == 400
    assert not Configuration.objects.exists()
    assert not Service.objects.exists()


# --- Permissions ----------------------------------------------------------------------------------


def test_where_tokens_are_asked_for_a_valid_signature_needs_none(
    api: APIClient, service: Service, settings: Any
) -> None:
    settings.SAGA_AUTH = "required"
    operations.configure(NAME, endpoints=None, secret=LONG, now=timezone.now())
    body = {"service_name": NAME, "event": "crashed"}
    signature = signatures.sign_body(json.dumps(body).encode(), secret=LONG)

    signed = post(api, "lifecycle", body, **{"X-Webhook-Signature": signature})
    shown = post(api, "lifecycle", {**body, "webhook_secret": LONG})
    nothing = post(api, "lifecycle", body)

    assert signed.status_code == 200
    assert (shown.status_code, shown.json()["error"]) == (401, "Token required")
    assert (nothing.status_code, nothing.json()["error"]) == (401, "Invalid signature")


@pytest.mark.parametrize("route", ["check-updates", "notify", "config"])
def test_where_tokens_are_asked_for_nothing_goes_without(
    api: APIClient, service: Service, settings: Any, route: str
) -> None:
    settings.SAGA_AUTH = "required"

    assert post(api, route, {**NOTIFY, "secret": LONG}).status_code == 401


def test_a_secret_that_only_the_call_knows_does_not_stand_for_a_token(
    api: APIClient, settings: Any
) -> None:
    settings.SAGA_AUTH = "required"
    body = {
        "service_name": NAME,
        "version": "1.3.0",
        "artifact_url": "https://a.example/",
        "webhook_secret": "mine",
    }
    signature = signatures.sign_body(json.dumps(body).encode(), secret="mine")

    response = post(api, "update", body, **{"X-Webhook-Signature": signature})

    assert (response.status_code, response.json()["error"]) == (401, "Token required")


def test_another_accounts_service_is_not_touched(api: APIClient) -> None:
    owner = accounts.ensure_account("owner", scopes=["webhooks:send"], is_internal=False)
    ServiceFactory.create(name=NAME, account=owner)

    response = post(api, "lifecycle", {"service_name": NAME, "event": "crashed"})

    assert response.status_code == 403
    assert not Event.objects.exists()


# --- Retention ------------------------------------------------------------------------------------


def test_old_calls_and_settled_deliveries_are_purged_and_the_rest_stays(settings: Any) -> None:
    settings.SAGA_EVENT_RETENTION_DAYS = 30
    now = timezone.now()
    old = now - dt.timedelta(days=31)
    DeliveryFactory.create(created_at=old, status="delivered", finished_at=old)
    waiting = DeliveryFactory.create(created_at=old)
    young = DeliveryFactory.create(created_at=now, status="dead", finished_at=now)
    for moment in (old, now):
        InboundCall.objects.create(
            route="update", request_digest="", proof="", verdict="refused", received_at=moment
        )

    purged = retention.purge(now=now)

    assert purged == 2
    assert set(Delivery.objects.all()) == {waiting, young}
    assert InboundCall.objects.get().received_at == now


def test_a_flood_of_refusals_is_cut_to_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAX_REFUSED", 3)
    now = timezone.now()
    for number in range(10):
        InboundCall.objects.create(
            route="update",
            request_digest="",
            proof="",
            verdict="refused",
            received_at=now - dt.timedelta(seconds=number),
        )

    retention.purge(now=now)

    assert InboundCall.objects.count() == 3
