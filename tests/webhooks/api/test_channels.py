"""Channels over HTTP: what others see of them, and a test message with the receiver's answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry.identity import accounts
from tests.api_clients import Bearer
from tests.factories import EndpointFactory, ServiceFactory
from webhooks import operations
from webhooks.models import GLOBAL, Delivery, Endpoint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def configure(name: str, **endpoints: str) -> Endpoint:
    row = operations.configure(
        name,
        endpoints=endpoints,
        secret=operations.UNSET,
        by=accounts.staff("root"),
        now=timezone.now(),
    )
    return row.endpoints.get()


def get(api: APIClient, path: str, **headers: str) -> Any:
    answer = api.get(f"/api/v1/channels{path}", headers=headers)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_channels_are_listed_by_service_and_name(api: APIClient) -> None:
    everywhere = configure(GLOBAL, slack="https://hooks.example/all")
    own = configure("payment", pager="https://pager.example/payment")

    rows = get(api, "")["channels"]

    assert rows == [get(api, f"/{everywhere.pk}"), get(api, f"/{own.pk}")]
    assert [(row["service_name"], row["format"]) for row in rows] == [
        (None, "slack"),
        ("payment", "standard"),
    ]
    assert rows[1]["url"] == "https://pager.example/payment"
    assert get(api, "?service=payment")["channels"] == rows[1:]
    assert get(api, "?channel=slack")["channels"] == rows[:1]
    assert api.get("/api/v1/channels/0").status_code == 404
    assert api.get("/api/v1/channels?kind=x").status_code == 400


def test_others_see_where_a_channel_leads_only_masked(
    api: APIClient,
    bearer: Bearer,
    settings: Settings,
) -> None:
    settings.SAGA_AUTH = "required"
    ServiceFactory.create(name="payment", account=accounts.ensure_account("owner", scopes=[]))
    configure("payment", pager="https://pager.example/a-secret-path")

    [shown] = get(api, "", **bearer("webhooks:manage", account="owner"))["channels"]
    [masked] = get(api, "", **bearer("webhooks:manage", account="other"))["channels"]

    assert "a-secret-path" in shown["url"]
    assert "a-secret-path" not in masked["url"]


@pytest.mark.parametrize(
    ("status", "is_delivered"), [(200, True), (204, True), (400, False), (503, False)]
)
def test_a_test_message_shows_the_receivers_answer(
    api: APIClient, httpserver: HTTPServer, status: int, is_delivered: bool
) -> None:
    httpserver.expect_ordered_request("/hook", method="POST").respond_with_data("why", status)
    channel = configure("payment", slack=httpserver.url_for("/hook"))

    answer = api.post(f"/api/v1/channels/{channel.pk}/test").json()

    assert (answer["is_delivered"], answer["status"]) == (is_delivered, status)
    assert answer["answer"] == ("" if status == 204 else "why")
    assert f"answered {status}" in answer["reason"]
    assert "payment" in httpserver.log[0][0].get_json()["text"]


def test_a_test_message_is_not_tried_again(api: APIClient) -> None:
    channel = EndpointFactory.create()

    answer = api.post(f"/api/v1/channels/{channel.pk}/test").json()

    assert (answer["is_delivered"], answer["status"]) == (False, None)
    assert Delivery.objects.get().status == Delivery.Status.DEAD


def test_a_test_of_anothers_channel_is_refused(
    api: APIClient,
    bearer: Bearer,
    settings: Settings,
) -> None:
    settings.SAGA_AUTH = "required"
    ServiceFactory.create(name="payment", account=accounts.ensure_account("owner", scopes=[]))
    channel = configure("payment", pager="https://pager.example/")
    everywhere = configure(GLOBAL, pager="https://pager.example/")
    stranger = bearer("webhooks:manage", account="other")

    answers = [
        api.post(f"/api/v1/channels/{pk}/test", headers=stranger).status_code
        for pk in (channel.pk, everywhere.pk, 0)
    ]

    assert answers == [403, 403, 404]
    assert not Delivery.objects.exists()
