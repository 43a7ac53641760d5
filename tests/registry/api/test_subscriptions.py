from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from registry.models import Subscription
from saga_project.shared import crypto
from tests.api_clients import Bearer
from tests.factories import ServiceFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PATH = "/api/v1/subscriptions"
BODY = {
    "service_name": "billing",
    "subscriber": "mail",
    "callback_url": "http://10.0.0.9/hooks/saga",
    "topics": ["service.*", "health.changed"],
}


@pytest.fixture(autouse=True)
def billing() -> None:
    ServiceFactory.create(name="billing")


def create(api: APIClient, **changes: Any) -> dict[str, Any]:
    answer = api.post(PATH, {**BODY, **changes}, format="json")
    assert answer.status_code == 201
    body: dict[str, Any] = answer.json()
    return body


def test_subscribes_and_shows_the_secret_once(api: APIClient) -> None:
    made = create(api)

    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made == {
        "id": made["id"],
        "service_name": "billing",
        "subscriber": "mail",
        "callback_url": "http://10.0.0.9/hooks/saga",
        "topics": ["service.*", "health.changed"],
        "state": "active",
        "accepted": False,
        "created_at": made["created_at"],
    }
    assert api.get(f"{PATH}/{made['id']}").json() == made
    assert api.get(PATH).json() == {"subscriptions": [made], "total": 1}


def test_keeps_the_secret_sealed(api: APIClient) -> None:
    secret = create(api)["secret"]

    row = Subscription.objects.get()
    assert secret not in row.sealed_secret
    assert crypto.decrypt(row.sealed_secret) == secret


def test_subscription_without_a_callback_has_no_secret(api: APIClient) -> None:
    made = create(api, callback_url=None, topics=None)

    assert made["secret"] is None
    assert made["callback_url"] is None
    assert made["topics"] == ["*"]


def test_cancels_a_subscription_and_keeps_it_on_record(api: APIClient) -> None:
    made = create(api)

    for _ in range(2):
        answer = api.delete(f"{PATH}/{made['id']}")
        assert answer.status_code == 200
        assert answer.json()["state"] == "cancelled"
    assert api.get(f"{PATH}/{made['id']}").json()["state"] == "cancelled"


def test_filters_by_service_and_state(api: APIClient) -> None:
    ServiceFactory.create(name="other")
    one = create(api)
    two = create(api, service_name="other")
    three = create(api, state="suspended")

    def ids(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"{PATH}?{query}").json()["subscriptions"]]

    assert ids("service=billing") == [one["id"], three["id"]]
    assert ids("service=other") == [two["id"]]
    assert ids("state=suspended") == [three["id"]]
    assert ids("limit=1&offset=1") == [two["id"]]


@pytest.mark.parametrize("pattern", ["*", "pay*", "*-eu", "a*b*c"])
def test_a_pattern_covers_services_that_are_not_registered_yet(
    api: APIClient, pattern: str
) -> None:
    made = create(api, service_name=pattern)
    create(api)

    assert made["service_name"] == pattern
    assert made["secret"].startswith("whsec_")
    found = api.get(PATH, {"service": pattern}).json()
    assert [row["id"] for row in found["subscriptions"]] == [made["id"]]


def test_a_pattern_keeps_no_service_registered(api: APIClient, bearer: Bearer) -> None:
    made = create(api, service_name="bill*")
    chief = bearer("admin:registry", account="chief")
    accept = api.patch(f"{PATH}/{made['id']}", {"accepted": True}, format="json", headers=chief)
    exemptions = {"slug": "billing"}

    assert (accept.status_code, accept.json()["error"]) == (400, "Nothing to accept")
    answer = api.delete("/api/v1/registry/register", exemptions, format="json", headers=chief)
    assert answer.status_code == 204
    assert api.get(f"{PATH}/{made['id']}").json()["state"] == "active"


def test_a_pattern_needs_the_right_to_read_services(api: APIClient, bearer: Bearer) -> None:
    body = {**BODY, "service_name": "*"}
    writer = bearer("registry:manage", account="writer")
    reader = bearer("registry:manage", "services:read", account="reader")

    refused = api.post(PATH, body, format="json", headers=writer)

    assert (refused.status_code, refused.json()["error"]) == (403, "Scope missing")
    assert api.post(PATH, body, format="json", headers=reader).status_code == 201


def test_its_state_is_changed_until_it_is_cancelled(api: APIClient) -> None:
    made = create(api, service_name="*", state="pending")

    def change(state: str) -> tuple[int, str]:
        answer = api.patch(f"{PATH}/{made['id']}", {"state": state}, format="json")
        return answer.status_code, api.get(f"{PATH}/{made['id']}").json()["state"]

    assert change("active") == (200, "active")
    assert change("active") == (200, "active")
    assert change("suspended") == (200, "suspended")
    assert change("pending") == (400, "suspended")
    assert change("cancelled") == (200, "cancelled")
    assert change("active") == (409, "cancelled")


def test_lists_many_with_as_many_queries_as_one(api: APIClient) -> None:
    create(api)
    with CaptureQueriesContext(connection) as few:
        api.get(PATH)
    for _ in range(5):
        create(api)

    with CaptureQueriesContext(connection) as many:
        assert api.get(PATH).json()["total"] == 6

    assert len(many) == len(few) == 2


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"service_name": "unknown"}, 404, "Service not found"),
        ({"service_name": "two words"}, 400, "Invalid service name"),
        ({"service_name": "pay?*"}, 400, "Invalid service name"),
        ({"service_name": "-*"}, 400, "Invalid service name"),
        ({"service_name": None}, 400, None),
        ({"subscriber": ""}, 400, None),
        ({"subscriber": "x" * 129}, 400, None),
        ({"callback_url": "ftp://x"}, 400, "Invalid service URL"),
        ({"callback_url": "http://u:p@x/"}, 400, "Invalid service URL"),
        ({"callback_url": 5}, 400, None),
        ({"topics": "service.*"}, 400, None),
        ({"topics": ["two words"]}, 400, None),
        ({"topics": ["*"] * 101}, 400, None),
        ({"state": "cancelled"}, 400, None),
        ({"state": "asleep"}, 400, None),
    ],
)
def test_refuses_what_makes_no_sense(
    api: APIClient, change: dict[str, Any], status: int, error: str | None
) -> None:
    answer = api.post(PATH, {**BODY, **change}, format="json")

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message"}
    assert error is None or answer.json()["error"] == error
    assert not Subscription.objects.exists()


def test_a_service_that_left_takes_no_subscriptions(api: APIClient) -> None:
    ServiceFactory.create(name="gone", status="deregistered")

    assert api.post(PATH, {**BODY, "service_name": "gone"}, format="json").status_code == 404


@pytest.mark.parametrize(
    "text", ["1", "not-an-id", "a" * 500, "0d5c5cb8-6b0f-4a4b-9d3c-1f1f2ab65cd1", "%00", "{}"]
)
def test_an_unknown_subscription_is_not_found(api: APIClient, text: str) -> None:
    for answer in (api.get(f"{PATH}/{text}"), api.delete(f"{PATH}/{text}")):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "offset=-1", "state=asleep", "service=two+words"]
)
def test_refuses_parameters_that_make_no_sense(api: APIClient, query: str) -> None:
    assert api.get(f"{PATH}?{query}").status_code == 400


def test_only_the_account_that_subscribed_may_cancel(api: APIClient, bearer: Bearer) -> None:
    owner = bearer("registry:manage", account="owner")
    other = bearer("registry:manage", account="other")
    chief = bearer("admin:registry", account="chief")
    made = api.post(PATH, BODY, format="json", headers=owner).json()
    place = f"{PATH}/{made['id']}"

    assert api.delete(place).status_code == 403
    assert api.delete(place, headers=other).status_code == 403
    assert Subscription.objects.get().state == "active"
    assert api.delete(place, headers=chief).status_code == 200
