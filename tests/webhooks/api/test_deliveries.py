"""Deliveries and inbound calls over HTTP: what is seen, and what is sent or acted on again."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import Service
from tests import factories
from updates.models import AuditEntry
from webhooks.models import Delivery, InboundCall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

DEAD = Delivery.Status.DEAD


def bearer(name: str, *scopes: str) -> dict[str, str]:
    account = accounts.ensure_account(name, scopes=scopes)
    _, text = accounts.issue_token(account, scopes=scopes)
    return {"Authorization": f"Bearer {text}"}


def _owned(name: str, *, by: str) -> Service:
    account = accounts.ensure_account(by, scopes=[])
    return factories.ServiceFactory.create(name=name, account=account)


def _replay(api: APIClient, body: dict[str, Any], query: str = "", **more: Any) -> Any:
    return api.post(f"/api/v1/deliveries/replay{query}", body, format="json", **more)


def test_a_dead_delivery_is_shown_without_secrets_and_sent_again_once(api: APIClient) -> None:
    dead = factories.DeliveryFactory.create(status=DEAD, url="https://chat.example/hook/s3cret")
    factories.DeliveryFactory.create()

    listed = api.get("/api/v1/deliveries?status=dead").json()["deliveries"]
    shown = api.get(f"/api/v1/deliveries/{dead.pk}").json()
    first = api.post(f"/api/v1/deliveries/{dead.pk}/replay")
    second = api.post(f"/api/v1/deliveries/{dead.pk}/replay")

    assert [row["id"] for row in listed] == [str(dead.pk)]
    assert (shown["payload"], shown["attempts"]) == (dead.payload, [])
    assert "s3cret" not in str([listed, shown])
    assert (first.status_code, first.json()["status"]) == (200, "pending")
    assert (second.status_code, second.json()["error"]) == (409, "Delivery is not dead")
    assert AuditEntry.objects.get().action == "delivery.replayed"


def test_many_are_previewed_and_then_sent_again(api: APIClient) -> None:
    wanted = [factories.DeliveryFactory.create(status=DEAD, service_name="shop") for _ in range(2)]
    other = factories.DeliveryFactory.create(status=DEAD, service_name="mail")

    preview = _replay(api, {"service_name": "shop"}, "?dry_run=true").json()
    untouched = Delivery.objects.filter(status=DEAD).count()
    done = _replay(api, {"service_name": "shop"}).json()

    assert untouched == 3
    assert (preview["dry_run"], preview["count"], preview["is_more"]) == (True, 2, False)
    assert set(preview["ids"]) == {str(row.pk) for row in wanted}
    assert [each["count"] for each in preview["receivers"]] == [2]
    assert (done["dry_run"], done["count"]) == (False, 2)
    assert [row.pk for row in Delivery.objects.filter(status=DEAD)] == [other.pk]


@pytest.mark.parametrize(
    ("body", "query"),
    [({"speed": 1}, ""), ({"ids": ["x"]}, ""), ({"since": "now"}, ""), ({}, "?dry_run=perhaps")],
)
def test_a_replay_of_many_refuses_what_it_cannot_read(
    api: APIClient, body: dict[str, Any], query: str
) -> None:
    dead = factories.DeliveryFactory.create(status=DEAD)

    assert _replay(api, body, query).status_code == 400
    assert Delivery.objects.get().status == dead.status


def test_a_choice_that_is_left_empty_is_refused_and_replays_nothing(api: APIClient) -> None:
    """A script with an unset variable would replay what it meant to preview, or list everything."""
    dead = factories.DeliveryFactory.create(status=DEAD)

    refused = _replay(api, {"ids": [str(dead.pk)]}, "?dry_run=")
    listed = api.get("/api/v1/deliveries?status=")

    assert (refused.status_code, listed.status_code) == (400, 400)
    assert "'status' is one of" in listed.json()["message"]
    dead.refresh_from_db()
    assert dead.status == DEAD


def test_an_account_sees_and_replays_nothing_of_another(api: APIClient) -> None:
    _owned("shop", by="owner")
    dead = factories.DeliveryFactory.create(status=DEAD, service_name="shop")
    call = factories.InboundCallFactory.create(service_name="shop")
    stranger = bearer("other", "webhooks:manage", "webhooks:send")
    owner = bearer("owner", "webhooks:manage", "webhooks:send")

    for path, name in (("deliveries", "deliveries"), ("inbound-calls", "calls")):
        assert api.get(f"/api/v1/{path}", headers=stranger).json()[name] == []
        assert len(api.get(f"/api/v1/{path}", headers=owner).json()[name]) == 1
    assert _replay(api, {"ids": [str(dead.pk)]}, headers=stranger).json()["count"] == 0
    for path in (f"deliveries/{dead.pk}", f"inbound-calls/{call.pk}"):
        assert api.post(f"/api/v1/{path}/replay", headers=stranger).status_code == 404


def test_a_call_acts_again_in_the_name_of_the_token(api: APIClient) -> None:
    _owned("shop", by="owner")
    call = factories.InboundCallFactory.create(service_name="shop")
    path = f"/api/v1/inbound-calls/{call.pk}"

    anonymous = api.post(f"{path}/replay")
    lacking = api.post(f"{path}/replay", headers=bearer("owner", "webhooks:manage"))
    done = api.post(f"{path}/replay", headers=bearer("owner", "webhooks:manage", "webhooks:send"))
    replay = InboundCall.objects.exclude(pk=call.pk).get()
    shown = api.get(path, headers=bearer("owner", "webhooks:manage")).json()

    assert (anonymous.status_code, lacking.status_code, done.status_code) == (401, 403, 200)
    assert replay.replay_of_id == call.pk
    assert shown["body"] == call.body
    assert (AuditEntry.objects.get().action, AuditEntry.objects.get().actor) == (
        "call.replayed",
        "owner",
    )


def test_another_account_approves_a_service_and_no_account_its_own(api: APIClient) -> None:
    _owned("shop", by="owner")
    path = "/api/v1/services/shop/approval"
    own, other = bearer("owner", "approvals:decide"), bearer("other", "approvals:decide")

    def decide(headers: dict[str, str], **body: str) -> Any:
        return api.post(path, body, format="json", headers=headers)

    assert decide(own, decision="approve").status_code == 403
    assert decide(other, decision="reject").status_code == 400  # without a reason
    rejected = decide(other, decision="reject", reason="unknown owner").json()
    again = decide(other, decision="reject", reason="unknown owner")
    approved = decide(other, decision="approve").json()

    assert (rejected["status"], rejected["status_reason"]) == ("rejected", "unknown owner")
    assert (again.status_code, approved["status"]) == (409, "active")
    assert approved["approved_by"] == "other"
