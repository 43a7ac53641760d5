"""Channels are made, changed and deleted one by one, with formats and secrets of their own."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from tests import smtp_servers
from tests.factories import DeliveryFactory, EndpointFactory, ServiceFactory
from updates.models import AuditEntry
from webhooks.models import Delivery, Endpoint, NotificationRule
from webhooks.outbound import rendering

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

CHANNELS = "/api/v1/channels"
SECRET = "R0UT1NG-KEY-of-pagerduty"


def make(api: APIClient, **body: Any) -> Any:
    answer = api.post(CHANNELS, body, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_channel_is_made_changed_and_deleted(api: APIClient) -> None:
    made = make(api, channel="ops", url="https://chat.example/1")
    address = f"{CHANNELS}/{made['id']}"
    waiting = DeliveryFactory.create(endpoint_id=made["id"])
    changed = api.patch(address, {"url": "https://chat.example/2"}, format="json")
    twice = api.post(CHANNELS, {"channel": "ops", "url": "https://x.example"}, format="json")
    deleted = api.delete(address)

    assert (made["format"], made["has_secret"]) == ("standard", False)
    assert changed.json()["url"] == "https://chat.example/2"
    assert (twice.status_code, deleted.status_code) == (409, 204)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.url) == ("dead", "https://chat.example/2")
    assert NotificationRule.objects.exists()
    assert AuditEntry.objects.filter(action="webhook.configured").count() == 3


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"channel": "a b", "url": "https://x.example"}, "channel"),
        ({"channel": "ops"}, "url"),
        ({"channel": "ops", "url": "mailto:nobody"}, "e-mail address"),
        ({"channel": "ops", "url": "https://x.example", "format": "email"}, "url"),
        ({"channel": "ops", "format": "pagerduty"}, "secret"),
        ({"channel": "ops", "url": "https://x.example", "format": "template"}, "options"),
        ({"channel": "ops", "url": "https://x.example", "options": {"x": 1}}, "options"),
        ({"channel": "slack", "secret": "xoxb-1"}, "options"),
        ({"channel": "ops", "url": "https://x.example", "is_enabled": True}, "is_enabled"),
    ],
)
def test_a_wrong_channel_is_refused(api: APIClient, body: dict[str, Any], named: str) -> None:
    answer = api.post(CHANNELS, body, format="json")

    assert answer.status_code == 400, answer.content
    assert named in answer.json()["message"]
    assert not Endpoint.objects.exists()


def test_pagerduty_gets_its_key_and_nothing_else_shows_it(
    api: APIClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v2/enqueue").respond_with_json({"status": "success"}, 202)
    url = httpserver.url_for("/v2/enqueue")
    made = make(api, channel="pager", format="pagerduty", url=url, secret=SECRET)

    answer = api.post(f"{CHANNELS}/{made['id']}/test").json()

    [(request, _)] = httpserver.log
    assert request.get_json()["routing_key"] == SECRET
    assert answer["status"] == 202
    delivery = Delivery.objects.get()
    shown = [api.get(f"{CHANNELS}/{made['id']}"), api.get(f"/api/v1/deliveries/{delivery.pk}")]
    shown.append(api.get("/api/v1/webhooks/config"))
    assert not any(SECRET in each.content.decode() for each in shown)
    assert not any(SECRET in str(entry.data) for entry in AuditEntry.objects.all())


def test_a_secret_goes_to_no_other_host(api: APIClient) -> None:
    made = make(
        api,
        channel="slack",
        url="https://slack.com/api/chat.postMessage",
        secret="xoxb-1",
        options={"channel": "C1"},
    )

    moved = api.patch(
        f"{CHANNELS}/{made['id']}", {"url": "https://evil.example/"}, format="json"
    ).json()

    assert (made["has_secret"], moved["has_secret"]) == (True, False)


def test_slack_answers_in_the_thread_of_the_first_message(
    api: APIClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api/chat.postMessage").respond_with_json(
        {"ok": True, "ts": "171.5"}
    )
    url = httpserver.url_for("/api/chat.postMessage")
    made = make(api, channel="slack", url=url, secret="xoxb-1", options={"channel": "C1"})
    endpoint = Endpoint.objects.get(pk=made["id"])
    DeliveryFactory.create(
        endpoint=endpoint, alert_ids=[7], remote_id="170.1", status=Delivery.Status.DELIVERED
    )
    test = api.post(f"{CHANNELS}/{made['id']}/test").json()
    first = Delivery.objects.get(remote_id="171.5")
    Delivery.objects.filter(pk=first.pk).update(status="dead", alert_ids=[7, 8])
    first.refresh_from_db()
    rendered = rendering.render(first)

    [(request, _)] = httpserver.log
    assert test["is_delivered"]
    assert request.headers["Authorization"] == "Bearer xoxb-1"
    assert request.get_json()["channel"] == "C1"
    assert "thread_ts" not in request.get_json()
    assert b'"thread_ts":"170.1"' in rendered.body.replace(b" ", b"")


@pytest.mark.parametrize(
    ("answer", "is_delivered", "text"),
    [(b"250 fine", True, "250"), (b"550 unknown", False, "550"), (b"451 later", False, "451")],
)
def test_mail_goes_out_as_text_and_html(
    api: APIClient, settings: Settings, answer: bytes, is_delivered: bool, text: str
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    ServiceFactory.create(name="shop")
    with smtp_servers.serving() as server:
        server.answer = answer
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_USE_TLS = False
        made = make(
            api, channel="mail", service_name="shop", url="mailto:ops@x.example,b@x.example"
        )
        result = api.post(f"{CHANNELS}/{made['id']}/test").json()

    assert (result["is_delivered"], made["format"]) == (is_delivered, "email")
    assert text in result["reason"]
    assert len(server.messages) == int(is_delivered)
    for message in server.messages:
        parts = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
        assert parts == ["text/plain", "text/html"]
        assert message["To"] == "ops@x.example, b@x.example"
        assert "shop: This is a test" in message["Subject"]


def test_mail_without_a_server_says_what_to_set(api: APIClient, settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    endpoint = EndpointFactory.create(channel="mail", url="mailto:ops@x.example")

    result = api.post(f"{CHANNELS}/{endpoint.pk}/test").json()

    assert not result["is_delivered"]
    assert "SAGA_EMAIL_HOST" in result["reason"]
