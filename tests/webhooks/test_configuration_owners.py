"""Ownership of configurations: the global one, a service's, and what a takeover drops."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry.models import Event, Service
from tests.api_clients import Bearer, Headers
from tests.factories import DeliveryFactory, ServiceFactory
from webhooks import operations, signatures
from webhooks.models import GLOBAL, Configuration, Delivery, Endpoint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
CONFIG = "/api/v1/webhooks/config"
SLACK = {"slack": "https://hooks.slack.com/services/T0/B0/secret"}
CRASH = {"service_name": NAME, "event": "crashed"}


def post(api: APIClient, route: str, body: dict[str, Any], headers: Headers | None = None) -> Any:
    raw = json.dumps(body)
    path = f"/api/v1/webhooks/{route}"
    return api.post(path, raw, content_type="application/json", headers=headers or {})


def signed(api: APIClient, body: dict[str, Any], secret: str) -> int:
    signature = signatures.sign_body(json.dumps(body).encode(), secret=secret)
    answer = post(api, "lifecycle", body, {"X-Webhook-Signature": signature})
    return int(answer.status_code)


@pytest.fixture
def owner(bearer: Bearer) -> Headers:
    return bearer("webhooks:manage", "webhooks:send", "registry:manage", account="owner")


@pytest.fixture
def other(bearer: Bearer) -> Headers:
    return bearer("webhooks:manage", "webhooks:send", account="other")


@pytest.fixture
def chief(bearer: Bearer) -> Headers:
    return bearer("admin:registry", account="chief")


@pytest.fixture
def owned(api: APIClient, owner: Headers) -> Service:
    body = {"service_name": NAME, "service_url": "http://localhost:8001"}
    api.post("/api/v1/services/register", body, format="json", headers=owner)
    return Service.objects.get(name=NAME)


# --- The global configuration ---------------------------------------------------------------------


def test_the_global_configuration_needs_an_administrator(
    api: APIClient, other: Headers, chief: Headers
) -> None:
    refused = post(api, "config", {"secret": "the global secret"}, other)

    assert (refused.status_code, refused.json()["error"]) == (403, "Administrator required")
    assert not Configuration.objects.exists()
    assert post(api, "config", {"secret": "the global secret"}, chief).status_code == 200


def test_once_administered_it_is_closed_to_anonymous_callers(
    api: APIClient, chief: Headers
) -> None:
    assert (
        post(api, "config", {"endpoints": SLACK, "secret": "left by somebody"}).status_code == 200
    )

    post(api, "config", {"endpoints": {"pager": "http://pager.example/"}}, chief)

    assert post(api, "config", {"endpoints": SLACK}).status_code == 403
    row = Configuration.objects.get()
    assert (row.sealed_secret, [each.channel for each in row.endpoints.all()]) == ("", ["pager"])


def test_others_see_where_the_global_channels_lead_only_masked(
    api: APIClient, other: Headers, chief: Headers
) -> None:
    post(api, "config", {"endpoints": SLACK}, chief)

    for headers in (other, {}):
        shown = api.get(CONFIG, headers=headers).json()
        assert shown["endpoints"] == {"slack": "https://hooks.slack.com/…"}
    assert api.get(CONFIG, headers=chief).json()["endpoints"] == SLACK


def test_global_secret_does_not_sign_for_an_owned_service(
    api: APIClient, owned: Service, chief: Headers
) -> None:
    post(api, "config", {"secret": "the global secret"}, chief)

    assert signed(api, CRASH, "the global secret") == 403
    allowed = post(api, "config", {"service_name": NAME, "accept_global_secret": True}, chief)
    assert allowed.status_code == 200
    assert signed(api, CRASH, "the global secret") == 200


def test_global_secret_signs_for_a_service_without_an_owner(api: APIClient, chief: Headers) -> None:
    ServiceFactory.create(name=NAME)
    post(api, "config", {"secret": "the global secret"}, chief)

    assert signed(api, CRASH, "the global secret") == 200
    assert signed(api, CRASH, "another secret") == 401


@pytest.mark.parametrize("value", [True, False])
def test_only_an_administrator_allows_the_global_secret(
    api: APIClient, owned: Service, owner: Headers, value: bool
) -> None:
    body = {"service_name": NAME, "accept_global_secret": value}

    assert post(api, "config", body, owner).status_code == 403
    assert not Configuration.objects.exists()


def test_an_owned_service_is_not_reported_through_a_strangers_global_channel(
    api: APIClient, owned: Service, owner: Headers, chief: Headers, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/pager").respond_with_data("ok")
    endpoints = {"pager": httpserver.url_for("/pager")}
    body = {"service_name": NAME, "channel": "pager", "message": "hello"}
    operations.configure(GLOBAL, endpoints=endpoints, secret=operations.UNSET, now=timezone.now())

    assert post(api, "notify", body, owner).json()["error"] == "Channel not configured"
    post(api, "config", {"endpoints": endpoints}, chief)
    assert post(api, "notify", body, owner).status_code == 200


# --- A service's configuration --------------------------------------------------------------------


def test_others_see_where_a_services_channels_lead_only_masked(
    api: APIClient, owned: Service, owner: Headers, other: Headers
) -> None:
    post(api, "config", {"service_name": NAME, "endpoints": SLACK}, owner)

    for headers in (other, {}):
        shown = api.get(CONFIG, {"service_name": NAME}, headers=headers).json()
        assert shown["endpoints"] == {"slack": "https://hooks.slack.com/…"}
    shown = api.get(CONFIG, {"service_name": NAME}, headers=owner).json()
    assert shown["endpoints"] == SLACK


def test_a_configuration_goes_with_its_service(api: APIClient) -> None:
    post(api, "config", {"service_name": NAME, "endpoints": SLACK, "secret": "of the old owner"})

    Service.objects.get(name=NAME).delete()

    assert not Configuration.objects.exists()
    ServiceFactory.create(name=NAME)
    assert api.get(CONFIG, {"service_name": NAME}).status_code == 404


def test_a_takeover_drops_the_configuration_that_strangers_left(
    api: APIClient, owner: Headers
) -> None:
    post(api, "config", {"service_name": NAME, "endpoints": SLACK, "secret": "known to strangers"})
    waiting = DeliveryFactory.create(endpoint=Endpoint.objects.get(), topic="slack")
    Event.objects.all().delete()

    body = {"service_name": NAME, "service_url": "http://localhost:8001"}
    api.post("/api/v1/services/register", body, format="json", headers=owner)

    waiting.refresh_from_db()
    assert not Configuration.objects.exists()
    assert waiting.status == Delivery.Status.DEAD
    assert signed(api, CRASH, "known to strangers") == 403
    reported = set(Event.objects.values_list("type", flat=True))
    assert {"service.taken_over", "webhook.configured"} <= reported
    assert Event.objects.get(type="webhook.configured").data["has_secret"] is False


def test_an_owner_keeps_its_configuration_when_it_registers_again(
    api: APIClient, owned: Service, owner: Headers
) -> None:
    post(api, "config", {"service_name": NAME, "endpoints": SLACK}, owner)

    body = {"service_name": NAME, "service_url": "http://localhost:8002"}
    api.post("/api/v1/services/register", body, format="json", headers=owner)

    assert Configuration.objects.get().service == owned
