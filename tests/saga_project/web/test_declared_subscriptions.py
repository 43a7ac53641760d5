"""Subscriptions in a file: made, changed, cancelled, and distinguished."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import ManagedObject, Subscription
from saga_project.shared import crypto
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

BILLING = {
    "service_name": "shop",
    "subscriber": "billing",
    "callback_url": "https://billing.example/hook/1",
}


@pytest.fixture
def chief(api: APIClient) -> APIClient:
    account = accounts.ensure_account("chief", scopes=["admin:registry"])
    _, text = accounts.issue_token(account, scopes=["admin:registry"])
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return api


def _apply(chief: APIClient, *subscriptions: dict[str, Any], managed_by: str = "x") -> Any:
    document = {
        "managed_by": managed_by,
        "services": [{"name": "shop"}] if managed_by == "x" else [],
        "subscriptions": list(subscriptions),
    }
    return chief.post("/api/v1/apply", document, format="json")


def test_a_subscription_of_a_file_is_marked_and_changed_with_before_and_after(
    chief: APIClient,
) -> None:
    _apply(chief, BILLING)
    row = Subscription.objects.get()
    made = crypto.decrypt(row.sealed_secret)

    changed = _apply(chief, {**BILLING, "topics": ["service.*"], "state": "suspended"})

    row.refresh_from_db()
    assert ManagedObject.objects.get(model="registry.subscription").object_uuid == row.pk
    assert changed.json()["updated"] == 1
    assert (row.topics, row.state) == (["service.*"], "suspended")
    assert crypto.decrypt(row.sealed_secret) == made
    entry = AuditEntry.objects.get(action="subscription.changed")
    assert entry.data["before"] == {"state": "active", "topics": ["*"]}
    assert entry.data["after"] == {"state": "suspended", "topics": ["service.*"]}
    assert "hook/1" not in str(entry.data)


def test_a_secret_that_is_given_later_replaces_the_one_that_was_made(chief: APIClient) -> None:
    _apply(chief, BILLING)

    answer = _apply(chief, {**BILLING, "secret": "a secret that both sides know"})
    short = _apply(chief, {**BILLING, "secret": "short"})

    assert crypto.decrypt(Subscription.objects.get().sealed_secret) == (
        "a secret that both sides know"
    )
    assert "a secret" not in answer.content.decode()
    assert (short.status_code, short.json()["error"]) == (400, "Invalid secret")


def test_a_subscription_that_its_file_drops_is_cancelled_and_others_stay(
    chief: APIClient,
) -> None:
    _apply(chief, BILLING)
    chief.post(
        "/api/v1/subscriptions", {"service_name": "pay*", "subscriber": "audit"}, format="json"
    )

    elsewhere = _apply(chief, managed_by="y").json()
    dropped = _apply(chief).json()

    assert elsewhere["changes"] == []
    assert [(each["action"], each["section"]) for each in dropped["changes"]] == [
        ("delete", "subscriptions")
    ]
    states = dict(Subscription.objects.values_list("subscriber", "state"))
    assert states == {"billing": "cancelled", "audit": "active"}
    assert not ManagedObject.objects.filter(model="registry.subscription").exists()


def test_a_cancelled_subscription_is_made_again_without_its_id_only(chief: APIClient) -> None:
    _apply(chief, BILLING)
    key = str(Subscription.objects.get().pk)
    _apply(chief)

    same = _apply(chief, {**BILLING, "id": key})
    another = _apply(chief, BILLING)

    assert (same.status_code, same.json()["error"]) == (409, "Subscription has ended")
    assert (another.status_code, another.json()["created"]) == (200, 1)


def test_several_of_one_subscriber_are_distinguished_by_their_ids(chief: APIClient) -> None:
    billing = {**BILLING, "account": "chief"}
    _apply(chief, billing)
    registration = {"service_name": "shop", "service_url": "http://a"}
    chief.post("/api/v1/services/register", registration, format="json")
    made = chief.post(
        "/api/v1/subscriptions", {"service_name": "shop", "subscriber": "billing"}, format="json"
    ).json()

    unclear = _apply(chief, billing)
    clear = _apply(chief, {**billing, "id": made["id"]})
    moved = _apply(chief, {**billing, "id": made["id"], "subscriber": "mail"})

    assert (unclear.status_code, unclear.json()["error"]) == (409, "Several subscriptions")
    assert clear.status_code == 200, clear.content
    assert (moved.status_code, moved.json()["error"]) == (409, "Subscription is another one")


def test_one_that_begins_pending_stays_active_once_it_was_activated(chief: APIClient) -> None:
    pending = {**BILLING, "state": "pending"}
    _apply(chief, pending)
    key = Subscription.objects.get().pk
    chief.patch(f"/api/v1/subscriptions/{key}", {"state": "active"}, format="json")

    again = _apply(chief, pending).json()

    assert again["changes"] == []
    assert Subscription.objects.get().state == "active"


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ({"service_name": "gone", "subscriber": "a"}, 404),
        ({"service_name": "pay*", "subscriber": "a", "accepted": True}, 400),
        ({"service_name": "shop", "subscriber": "a", "topics": ["a b"]}, 400),
        ({"service_name": "shop", "subscriber": "a", "callback_url": "ftp://x"}, 400),
        ({"service_name": "shop", "subscriber": "a", "account": "none"}, 400),
        ({"service_name": "shop", "subscriber": "a", "state": "cancelled"}, 400),
    ],
)
def test_a_wrong_subscription_is_refused(
    chief: APIClient, item: dict[str, Any], status: int
) -> None:
    answer = _apply(chief, item)

    assert answer.status_code == status
    assert "subscriptions[0]" in answer.json()["message"]
    assert not Subscription.objects.exists()


def test_a_change_by_hand_names_the_file(chief: APIClient, admin_client: Client) -> None:
    _apply(chief, BILLING)
    key = Subscription.objects.get().pk

    page = admin_client.get(f"/admin/registry/subscription/{key}/change/").content.decode()
    changed = chief.patch(f"/api/v1/subscriptions/{key}", {"state": "suspended"}, format="json")
    ended = chief.delete(f"/api/v1/subscriptions/{key}")

    assert "Managed by the file x" in page
    assert "file x" in changed["X-Saga-Warning"]
    assert "file x" in ended["X-Saga-Warning"]
