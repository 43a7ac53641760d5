"""Ownership of subscriptions: what others see, what blocks deregistration, what a takeover drops."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import Event, Service, Subscription
from tests.api_clients import Bearer, Headers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

PATH = "/api/v1/subscriptions"
SERVICE = {"service_name": "billing", "service_url": "http://localhost:9000"}
BODY = {"service_name": "billing", "subscriber": "mail", "callback_url": "http://10.0.0.9/secret"}


@pytest.fixture
def owner(bearer: Bearer) -> Headers:
    return bearer("registry:manage", "services:read", account="owner")


@pytest.fixture
def stranger(bearer: Bearer) -> Headers:
    return bearer("registry:manage", "services:read", account="stranger")


def register(api: APIClient, headers: Headers | None = None) -> None:
    answer = api.post("/api/v1/services/register", SERVICE, format="json", headers=headers or {})
    assert answer.status_code == 200


def subscribe(api: APIClient, headers: Headers | None = None) -> dict[str, Any]:
    answer = api.post(PATH, BODY, format="json", headers=headers or {})
    assert answer.status_code == 201
    body: dict[str, Any] = answer.json()
    return body


def deregister(api: APIClient, headers: Headers, dialect: str) -> int:
    if dialect == "saga":
        return int(api.delete("/api/v1/services/billing", headers=headers).status_code)
    body = {"slug": "billing"}
    path = "/api/v1/registry/register"
    return int(api.delete(path, body, format="json", headers=headers).status_code)


def accept(api: APIClient, made: dict[str, Any], headers: Headers, *, value: Any = True) -> Any:
    return api.patch(f"{PATH}/{made['id']}", {"accepted": value}, format="json", headers=headers)


# --- Visibility -----------------------------------------------------------------------------------


def test_a_third_account_does_not_see_a_subscription(
    api: APIClient, bearer: Bearer, owner: Headers, stranger: Headers
) -> None:
    register(api, owner)
    made = subscribe(api, stranger)
    third = bearer("services:read", account="third")

    assert api.get(PATH, headers=third).json() == {"subscriptions": [], "total": 0}
    assert api.get(f"{PATH}/{made['id']}", headers=third).status_code == 404
    assert api.get(PATH).json()["total"] == 0


def test_the_owner_of_the_service_sees_it_without_its_callback(
    api: APIClient, owner: Headers, stranger: Headers
) -> None:
    register(api, owner)
    made = subscribe(api, stranger)

    row = api.get(f"{PATH}/{made['id']}", headers=owner).json()

    assert (row["subscriber"], row["callback_url"]) == ("mail", "http://10.0.0.9/…")
    mine = api.get(PATH, headers=stranger).json()["subscriptions"][0]
    assert mine["callback_url"] == BODY["callback_url"]


def test_an_administrator_sees_all_of_it(api: APIClient, bearer: Bearer, stranger: Headers) -> None:
    register(api)
    subscribe(api, stranger)
    chief = bearer("admin:registry", account="chief")

    row = api.get(PATH, headers=chief).json()["subscriptions"][0]

    assert row["callback_url"] == BODY["callback_url"]


# --- What it blocks -------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["saga", "scaicontrol"])
def test_a_strangers_subscription_blocks_once_the_owner_accepted_it(
    api: APIClient, owner: Headers, stranger: Headers, dialect: str
) -> None:
    register(api, owner)
    made = subscribe(api, stranger)
    assert accept(api, made, owner).json()["accepted"] is True

    assert deregister(api, owner, dialect) == 409
    assert accept(api, made, owner, value=False).json()["accepted"] is False
    assert deregister(api, owner, dialect) in (200, 204)


@pytest.mark.parametrize("dialect", ["saga", "scaicontrol"])
def test_a_subscription_of_the_owner_itself_blocks(
    api: APIClient, owner: Headers, dialect: str
) -> None:
    register(api, owner)
    subscribe(api, owner)

    assert deregister(api, owner, dialect) == 409
    assert Service.objects.get().status != "deregistered"


def test_an_instance_may_leave_in_spite_of_subscriptions(api: APIClient, owner: Headers) -> None:
    register(api, owner)
    subscribe(api, owner)

    path = "/api/v1/services/billing?instance_id=default"
    assert api.delete(path, headers=owner).status_code == 200


def test_only_the_owner_accepts(api: APIClient, owner: Headers, stranger: Headers) -> None:
    register(api, owner)
    made = subscribe(api, stranger)

    assert accept(api, made, stranger).status_code == 403
    assert accept(api, made, {}).status_code == 404
    assert not Subscription.objects.get().is_accepted


@pytest.mark.parametrize("value", [1, "true", "yes", []])
def test_an_acceptance_is_true_or_false(api: APIClient, owner: Headers, value: Any) -> None:
    register(api, owner)
    made = subscribe(api, owner)

    assert accept(api, made, owner, value=value).status_code == 400


# --- What its subscriber changes ------------------------------------------------------------------


def change(api: APIClient, made: dict[str, Any], headers: Headers, **fields: Any) -> Any:
    return api.patch(f"{PATH}/{made['id']}", fields, format="json", headers=headers)


def test_the_subscriber_changes_what_it_asks_for(
    api: APIClient, owner: Headers, stranger: Headers
) -> None:
    register(api, owner)
    made = subscribe(api, stranger)

    answer = change(api, made, stranger, topics=["health.*"], state="suspended")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["topics"], body["state"], body["secret"]) == (["health.*"], "suspended", None)
    assert change(api, made, owner, topics=["*"]).status_code == 403
    assert change(api, made, stranger, accepted=True).status_code == 403
    assert Subscription.objects.get().topics == ["health.*"]


def test_a_first_callback_comes_with_a_secret(api: APIClient, owner: Headers) -> None:
    register(api, owner)
    made = api.post(PATH, {**BODY, "callback_url": None}, format="json", headers=owner).json()

    answer = change(api, made, owner, callback_url="http://10.0.0.9/hooks")

    assert answer.json()["secret"].startswith("whsec_")
    assert change(api, made, owner, callback_url="ftp://x").status_code == 400


def test_a_cancelled_subscription_stays_cancelled(api: APIClient, owner: Headers) -> None:
    register(api, owner)
    made = subscribe(api, owner)
    api.delete(f"{PATH}/{made['id']}", headers=owner)

    assert change(api, made, owner, state="active").status_code == 409


# --- What a takeover drops ------------------------------------------------------------------------


def test_a_takeover_cancels_what_others_subscribed(
    api: APIClient, owner: Headers, stranger: Headers
) -> None:
    register(api)
    left = [subscribe(api)["id"], subscribe(api, stranger)["id"]]
    kept = subscribe(api, owner)["id"]

    register(api, owner)

    states = {str(row.pk): row.state for row in Subscription.objects.all()}
    assert states == {left[0]: "cancelled", left[1]: "cancelled", kept: "active"}
    event = Event.objects.get(type="service.taken_over")
    assert event.data == {"account": "owner", "dropped_subscriptions": sorted(left)}


def test_a_service_that_is_owned_already_is_not_taken_over_again(
    api: APIClient, owner: Headers
) -> None:
    register(api, owner)
    register(api, owner)

    assert not Event.objects.filter(type="service.taken_over").exists()
