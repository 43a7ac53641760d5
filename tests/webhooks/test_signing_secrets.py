"""A known secret goes through every door and is found nowhere."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry import operations as registry_operations
from registry.models import Event, Service, Subscription
from saga_project.shared import crypto
from tests.factories import SubscriptionFactory
from tests.registry.admin.conftest import Login, login, roles  # noqa: F401  (fixtures)
from updates.models import AuditEntry, Source
from webhooks.models import Configuration, Delivery, GitHubHook, InboundCall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

CANARY = "canary-5f1d-secret"
NAME = "payment-service"
NEW_KEY = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE="


def post(api: APIClient, route: str, body: dict[str, Any], **headers: str) -> Any:
    return api.post(
        f"/api/v1/webhooks/{route}",
        json.dumps(body),
        content_type="application/json",
        headers=headers,
    )


def everything_in_the_database() -> str:
    """Return all rows of all our tables as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        texts = []
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{table}\" t")
            texts.append(cursor.fetchone()[0])
    return "\n".join(texts)


MODELS: tuple[type[Model], ...] = (
    *(Configuration, InboundCall, Delivery, GitHubHook),
    *(Source, AuditEntry, Event, Subscription, Service),
)


def pages(client: Client) -> str:
    """Return the list of each model, and the page of each row, as an administrator sees them."""
    lists = {
        model: reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        for model in MODELS
    }
    paths = ["/admin/", *lists.values()]
    paths += [
        f"{path}{row.pk}/change/"
        for model, path in lists.items()
        for row in model._default_manager.all()
    ]
    answers = [client.get(path, follow=True) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return "\n".join(answer.content.decode() for answer in answers)


def forms(client: Client, service: Service) -> str:
    """Write the secret into every form that takes one, well and badly filled, and return what they answer."""
    configuration = {"service_name": NAME, "secret_action": "set", "secret": CANARY}
    hook = {
        "repository": "a/b",
        "hook_id": "7",
        "api_url": "https://api.github.com",
        "token": CANARY,
    }
    source = {
        "service": service.pk,
        "kind": "github",
        "location": "a/b",
        "options": "{}",
        "interval_seconds": "3600",
        "token": CANARY,
    }
    sent = [
        ("webhooks/configuration/add/", configuration),
        ("webhooks/configuration/add/", {**configuration, "secret": f"whsec_{CANARY}"}),
        ("webhooks/configuration/add/", {**configuration, "service_name": "no name"}),
        ("webhooks/configuration/add/", {**configuration, "channel": "a", "url": "nowhere"}),
        ("webhooks/githubhook/add/", hook),
        ("webhooks/githubhook/add/", {**hook, "repository": "nowhere"}),
        ("updates/source/add/", source),
        ("updates/source/add/", {**source, "interval_seconds": "never"}),
    ]
    answers = [client.post(f"/admin/{path}", body, follow=True) for path, body in sent]
    assert {answer.status_code for answer in answers} == {200}
    assert (GitHubHook.objects.count(), Source.objects.count()) == (1, 1)
    return "\n".join(answer.content.decode() for answer in answers)


def broken(api: APIClient, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]) -> Any:
    """Send the call to a Saga that breaks over it, which is a 500 and a traceback in the log."""
    api.raise_request_exception = False
    with monkeypatch.context() as patch:
        patch.setattr("webhooks.inbound.bodies.read", lambda shape, document: {}[shape])
        return post(api, "lifecycle", body)


def test_a_known_secret_is_found_nowhere(
    api: APIClient,
    login: Login,  # noqa: F811
    httpserver: HTTPServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    celery_messages: list[str],
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    httpserver.expect_request("/hook").respond_with_data("no", 404)
    registration = registry_operations.Registration(service_name=NAME, url="http://localhost:1")
    registry_operations.register(registration, by=None, now=timezone.now())
    SubscriptionFactory.create(
        service=Service.objects.get(), sealed_secret=crypto.encrypt(CANARY), topics=["lifecycle.*"]
    )
    crash = {"service_name": NAME, "event": "crashed", "webhook_secret": CANARY}
    report = {"service_name": NAME, "status": "healthy"}
    endpoints = {"pager": httpserver.url_for("/hook")}

    with django_capture_on_commit_callbacks(execute=True):
        crashed = [post(api, "lifecycle", crash)]
    answers = [
        *crashed,
        post(api, "config", {"service_name": NAME, "endpoints": endpoints, "secret": CANARY}),
        post(
            api, "config", {"service_name": NAME, "endpoints": {"a": "nowhere"}, "secret": CANARY}
        ),
        post(api, "config", {"service_name": NAME, "secret": f"whsec_{CANARY}"}),
        post(api, "health", {**report, "webhook_secret": CANARY}),
        post(api, "health", {**report, "webhook_secret": f"{CANARY}-wrong"}),
        post(api, "health", {**report, "details": {"token": CANARY}, "webhook_secret": CANARY}),
        post(api, "lifecycle", {**crash, "details": {"db": [{"apiKey": CANARY}]}}),
        broken(api, monkeypatch, crash),
        post(api, "lifecycle", {"service_name": NAME, "event": "no", "webhook_secret": CANARY}),
        post(api, "health", report, Authorization=f"Bearer {CANARY}"),
        post(api, "health", report, **{"X-Webhook-Signature": CANARY, "Cookie": CANARY}),
        post(api, "notify", {"service_name": NAME, "channel": "pager", "message": "hello"}),
        post(api, "deploy", {"service_name": NAME, "webhook_secret": CANARY}),
        api.get("/api/v1/webhooks/config", {"service_name": NAME}),
        api.get("/api/v1/events"),
        api.get("/api/v1/schema"),
        api.get("/api/v1/updates/history/export/csv"),
        api.get("/api/v1/updates/history/export/json"),
        api.get("/metrics"),
    ]
    call_command("rotate_secrets")
    shown = forms(login(), Service.objects.get()) + pages(login())

    assert {answer.status_code for answer in answers} >= {200, 400, 401, 500, 502}
    reported, errors = capfd.readouterr()
    places = {
        "answers": "\n".join(str(answer.getvalue()) for answer in answers),
        "database": everything_in_the_database(),
        "logs": caplog.text + repr([vars(record) for record in caplog.records]),
        "output": reported + errors,
        "queue": "\n".join(celery_messages),
        "pages": shown,
        "receiver": "\n".join(
            f"{request.headers} {request.get_data()!r}" for request, _ in httpserver.log
        ),
    }
    assert {name for name, text in places.items() if CANARY in text} == set()
    assert all(places.values())


@pytest.fixture
def celery_messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(
        "celery.current_app.send_task", lambda *args, **kwargs: messages.append(f"{args} {kwargs}")
    )
    return messages
