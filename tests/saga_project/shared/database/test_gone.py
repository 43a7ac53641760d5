"""PostgreSQL refuses or freezes: known services go on, requests for rows are refused soon, all recover."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from registry.identity import accounts
from registry.models import ServiceAccount
from tests import waiting
from tests.failing import HEALTH, SERVICE, Stack

pytestmark = pytest.mark.django_db(transaction=True)
#: The promise is two seconds. The rest is for a busy machine; without a deadline no answer would come at all.
GONE_SECONDS = 20.0

SCAICONTROL = {"slug": "pay", "name": "Pay", "version": "1.0.0", "base_url": "http://localhost:1"}
UPDATE = {"service_name": "pay", "version": "1.0.0", "artifact_url": "http://localhost:1/pay"}
NEEDS_THE_DATABASE: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/v1/services/register", {**SERVICE, "service_name": "new"}),
    ("POST", "/api/v1/services/register", {**SERVICE, "service_url": "http://localhost:9"}),
    ("POST", "/api/v1/services/pay/heartbeat", {"status": "warning"}),
    ("DELETE", "/api/v1/services/pay", None),
    ("GET", "/api/v1/events", None),
    ("GET", "/api/v1/events?after=1-1&wait=30", None),
    ("GET", "/api/v1/events/stream", None),
    ("GET", "/api/v1/updates/history", None),
    ("GET", "/api/v1/updates/history/pay", None),
    ("GET", "/api/v1/updates/statistics", None),
    ("GET", "/api/v1/updates/history/export/csv", None),
    ("GET", "/api/v1/updates/jobs", None),
    ("GET", "/api/v1/updates/plan?service=pay", None),
    ("POST", "/api/v1/webhooks/update", UPDATE),
    ("POST", "/api/v1/webhooks/deploy", UPDATE),
    ("POST", "/api/v1/webhooks/check-updates", {"service_name": "pay"}),
    ("POST", "/api/v1/webhooks/health", {"service_name": "pay", "status": "healthy"}),
    ("POST", "/api/v1/webhooks/config", {"service_name": "pay", "secret": "s" * 32}),
    ("GET", "/api/v1/subscriptions", None),
    ("POST", "/api/v1/subscriptions", {"service_name": "pay", "subscriber": "shop"}),
]
SCAICONTROLS = [
    ("POST", "/api/v1/registry/register", SCAICONTROL),
    ("PUT", "/api/v1/registry/register", SCAICONTROL),
    ("DELETE", "/api/v1/registry/register", {"slug": "pay"}),
    ("POST", "/api/v1/registry/heartbeat", {"slug": "pay"}),
]


@pytest.fixture
def token() -> str:
    account = ServiceAccount.objects.create(name="ci", scopes=["registry:manage"])
    return accounts.issue_token(account, scopes=["registry:manage"])[1]


@pytest.fixture
def session(client: Client) -> str:
    person = User.objects.create_superuser("ada")
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture(params=["refuse", "freeze"])
def gone(request: pytest.FixtureRequest, stack: Stack) -> Stack:
    """A stack that knows the service "pay" and has just lost its database."""
    stack.register()
    getattr(stack.database, request.param)()
    return stack


def call(stack: Stack, method: str, path: str, body: Any, **options: Any) -> requests.Response:
    return requests.request(method, stack.web.url + path, json=body, timeout=90, **options)


def test_lookups_and_heartbeats_of_known_services_go_on(gone: Stack) -> None:
    health = gone.web.get(HEALTH)

    assert health.status_code == 503
    assert health.json()["database"] == "disconnected"
    assert health.json()["redis"] == "connected"
    assert gone.web.get("/api/v1/services/pay").status_code == 200
    assert gone.web.get("/api/v1/services").json()["total"] == 1
    assert gone.web.post("/api/v1/services/pay/heartbeat").status_code == 200
    assert gone.web.post("/api/v1/services/register", json=SERVICE).status_code == 200
    assert gone.web.get("/readyz").status_code == 200


def test_the_rest_is_reported_in_time_however_many_ask_at_once(gone: Stack) -> None:
    with ThreadPoolExecutor(2 * len(NEEDS_THE_DATABASE)) as clients:
        asked = [clients.submit(call, gone, *request) for request in 2 * NEEDS_THE_DATABASE]
        answers = [future.result() for future in asked]

    for answer in answers:
        assert answer.status_code == 503, (answer.request.url, answer.text)
        assert answer.json()["error"] == "Database is not available"
        assert answer.elapsed.total_seconds() < GONE_SECONDS


def test_scaicontrol_gets_errors_in_its_own_words(gone: Stack, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}

    for request in SCAICONTROLS:
        answer = call(gone, *request, headers=headers)

        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert answer.elapsed.total_seconds() < GONE_SECONDS


def test_staff_see_a_page_that_says_so(gone: Stack, session: str) -> None:
    answer = call(gone, "GET", "/admin/", None, cookies={settings.SESSION_COOKIE_NAME: session})

    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "The database is not available." in answer.text
    assert answer.elapsed.total_seconds() < GONE_SECONDS


def test_every_process_recovers_by_itself(gone: Stack) -> None:
    waiting.until(lambda: call(gone, "GET", "/api/v1/events", None).status_code == 503)

    gone.database.serve()

    waiting.until(gone.is_healthy, seconds=30)
    answers = [call(gone, "GET", "/api/v1/events", None) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    gone.register()
