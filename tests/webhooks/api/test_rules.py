"""Notification rules over HTTP, in the admin, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from registry.identity import accounts
from tests.api_clients import Bearer
from tests.factories import AlertFactory, NotificationRuleFactory, ServiceFactory
from updates.models import AuditEntry
from webhooks.models import NotificationRule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

RULES = "/api/v1/notification-rules"
BODY: dict[str, Any] = {"name": "failures", "event_types": ["deployment.*"], "channels": ["ops"]}


def test_a_rule_is_made_changed_and_deleted(api: APIClient) -> None:
    made = api.post(RULES, BODY, format="json")
    address = f"{RULES}/{made.json()['id']}"
    changed = api.patch(
        address,
        {"quiet_from": "22:00", "quiet_until": "06:00", "repeat_every_seconds": 3600},
        format="json",
        headers={"If-Match": made["ETag"]},
    )
    stale = api.patch(address, {"name": "x"}, format="json", headers={"If-Match": made["ETag"]})
    deleted = api.delete(address)

    assert (made.status_code, changed.status_code, stale.status_code) == (201, 200, 412)
    assert made.json()["service_glob"] == "*"
    assert changed.json()["quiet_until"] == "06:00:00"
    assert deleted.status_code == 204
    assert list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True)) == [
        "rule.added",
        "rule.changed",
        "rule.deleted",
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"event_types": []}, "event_types"),
        ({"event_types": ["a b"]}, "event_types"),
        ({"event_types": ["x"] * 51}, "event_types"),
        ({"channels": []}, "channels"),
        ({"channels": ["http://x"]}, "channels"),
        ({"min_severity": "bad"}, "min_severity"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"quiet_from": "22:00"}, "quiet_until"),
        ({"repeat_every_seconds": 59}, "repeat_every_seconds"),
        ({"delay_seconds": 10**12}, "delay_seconds"),
        ({"service_glob": "💥"}, "service_glob"),
        ({"service_name": "shop", "service_glob": "sh*"}, "service_glob"),
        ({"selector": "env=prod;drop"}, "selector"),
        ({"selector": ""}, "selector"),
        ({"service_name": "shop", "selector": "env=prod"}, "selector"),
        ({"default_key": "x"}, "default_key"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_rule_is_refused(api: APIClient, changes: dict[str, Any], named: str) -> None:
    ServiceFactory.create(name="shop")

    answer = api.post(RULES, {**BODY, **changes}, format="json")

    assert answer.status_code == 400, answer.content
    assert named in answer.json()["message"]
    assert not NotificationRule.objects.exists()


def test_a_second_rule_of_a_name_is_a_conflict(api: APIClient) -> None:
    codes = [api.post(RULES, BODY, format="json").status_code for _ in range(2)]

    assert codes == [201, 409]


def test_alerts_of_others_services_are_hidden(
    api: APIClient,
    bearer: Bearer,
    settings: Settings,
) -> None:
    settings.SAGA_AUTH = "required"
    ServiceFactory.create(name="shop", account=accounts.ensure_account("owner", scopes=[]))
    alert = AlertFactory.create(service_name="shop")
    AlertFactory.create(service_name="")

    shown = {
        account: api.get(
            "/api/v1/alerts?state=open", headers=bearer("webhooks:manage", account=account)
        ).json()["alerts"]
        for account in ("owner", "other")
    }

    assert [row["id"] for row in shown["owner"]] == [alert.pk]
    assert shown["other"] == []


def test_the_admin_saves_rules_by_the_same_operation(admin_client: Client) -> None:
    known = NotificationRuleFactory.create(name="known")
    form = {
        **BODY,
        "event_types": "deployment.failed, service.*",
        "channels": "ops",
        "service_glob": "*",
        "min_severity": "error",
        "delay_seconds": "0",
        "group_seconds": "10",
        "time_zone": "UTC",
        "digest": "off",
        "digest_at": "09:00",
        "is_enabled": "on",
    }

    saved = admin_client.post("/admin/webhooks/notificationrule/add/", form)
    refused = admin_client.post(
        "/admin/webhooks/notificationrule/add/", {**form, "name": "x", "quiet_from": "22:00"}
    )
    pages = [
        admin_client.get(f"/admin/webhooks/{page}").status_code
        for page in ("notificationrule/", f"notificationrule/{known.pk}/change/", "alert/")
    ]

    assert saved.status_code == 302, saved.content.decode()[-3000:]
    rule = NotificationRule.objects.get(name="failures")
    assert rule.event_types == ["deployment.failed", "service.*"]
    assert AuditEntry.objects.filter(action="rule.added").count() == 1
    assert "Quiet hours have a beginning and an end." in refused.content.decode()
    assert pages == [200, 200, 200]
