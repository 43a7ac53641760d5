"""The audit trail over HTTP, and that everything which changes something is in it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from registry import operations
from saga_project.shared import auditing
from tests import factories
from updates.history import audit
from updates.models import AuditEntry
from webhooks.models import Delivery
from webhooks.operations import replay_deliveries

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def _write(*actions: str, **entry: Any) -> None:
    for action in actions:
        with transaction.atomic():
            auditing.record(
                action, **{"actor": "sam", "service_name": "shop", "at": timezone.now(), **entry}
            )


def _post(api: APIClient, path: str, body: dict[str, Any]) -> Any:
    return api.post(f"/api/v1/{path}", body, format="json")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["policy.added", "job.deploy", "policy.changed"]),
        ("action=policy.*", ["policy.added", "policy.changed"]),
        ("action=policy.added", ["policy.added"]),
        ("actor=eve", []),
        ("service=shop", ["policy.added", "job.deploy", "policy.changed"]),
        ("service=other", []),
        ("until=2020-01-01T00:00:00Z", []),
        ("since=2020-01-01T00:00:00Z&action=job.*", ["job.deploy"]),
    ],
)
def test_the_trail_is_filtered_and_exported_alike(
    api: APIClient, query: str, found: list[str]
) -> None:
    _write("policy.added", "job.deploy", "policy.changed", data={"reason": "=1+1"})

    listed = api.get(f"/api/v1/audit?{query}").json()["entries"]
    lines = b"".join(api.get(f"/api/v1/audit/export/jsonl?{query}")).splitlines()
    table = b"".join(api.get(f"/api/v1/audit/export/csv?{query}")).decode()

    assert [row["action"] for row in reversed(listed)] == found
    assert [json.loads(line) for line in lines] == listed[::-1]
    assert [row["action"] for row in csv.DictReader(io.StringIO(table))] == found


def test_pages_hold_each_entry_once(api: APIClient) -> None:
    _write(*(f"job.{number}" for number in range(5)))

    first = api.get("/api/v1/audit?limit=2").json()
    second = api.get(first["next"]).json()

    assert [row["sequence"] for row in first["entries"] + second["entries"]] == [5, 4, 3, 2]
    assert api.get("/api/v1/audit/5").json() == first["entries"][0]


@pytest.mark.parametrize(
    "path",
    ["audit?speed=1", "audit?since=now", "audit/export/xml", "audit/verify?expect_digest=x"],
)
def test_the_trail_refuses_what_it_cannot_read(api: APIClient, path: str) -> None:
    assert api.get(f"/api/v1/{path}").status_code == 400


def test_no_method_changes_an_entry(api: APIClient) -> None:
    _write("job.deploy")

    assert api.delete("/api/v1/audit/1").status_code == 405
    assert _post(api, "audit", {}).status_code == 405


def test_verify_distinguishes_an_intact_chain_from_a_cut_one(api: APIClient) -> None:
    _write("job.deploy", "job.pause")
    last = AuditEntry.objects.latest("sequence").digest

    intact = api.get(f"/api/v1/audit/verify?expect_digest={last}").json()
    cut = api.get(f"/api/v1/audit/verify?expect_digest={'f' * 64}").json()

    assert intact == {"is_intact": True, "entries": 2, "last_digest": last, "fault": None}
    assert (cut["is_intact"], cut["entries"]) == (False, 2)
    assert "cut off" in cut["fault"]


def test_changes_of_services_and_webhooks_are_in_the_trail(api: APIClient) -> None:
    _post(api, "services/register", {"service_name": "shop", "service_url": "http://localhost:9"})
    operations.reject("shop", by="kim", reason="unknown owner", now=timezone.now())
    operations.approve("shop", by="kim", now=timezone.now())
    url = "http://localhost:9/hook?key=s3cret"
    config = {"service_name": "shop", "endpoints": {"pager": url}, "secret": "a secret of 16 bytes"}
    for secret in (config["secret"], config["secret"], "another one of 16 bytes"):
        _post(api, "webhooks/config", {**config, "secret": secret})
    made = _post(api, "subscriptions", {"service_name": "shop", "subscriber": "billing"}).json()
    api.delete(f"/api/v1/subscriptions/{made['id']}")
    dead = factories.DeliveryFactory.create(service_name="shop", status=Delivery.Status.DEAD)
    replay_deliveries([dead.pk], by="kim", now=timezone.now())
    api.delete("/api/v1/services/shop")

    entries = list(AuditEntry.objects.order_by("sequence"))
    assert [entry.action for entry in entries] == [
        "service.rejected",
        "service.approved",
        "webhook.configured",
        "webhook.configured",
        "subscription.added",
        "subscription.changed",
        "delivery.replayed",
        "service.deregistered",
    ]
    assert {entry.service_name for entry in entries} == {"shop"}
    assert entries[0].data["before"] == "active"
    assert entries[0].data["reason"] == "unknown owner"
    assert entries[3].data["fields"] == "secret"
    assert entries[3].data["before"] != entries[3].data["after"]
    reported = str([entry.data for entry in entries])
    assert "s3cret" not in reported
    assert "secret of 16" not in reported
    assert audit.verify().fault is None


def test_logins_people_and_roles_are_in_the_trail() -> None:
    User.objects.create_superuser("root", password="a long password")
    role = Group.objects.create(name="night shift")
    client = Client(SERVER_NAME="localhost")
    for password in ("wrong", "a long password"):
        client.post("/admin/login/", {"username": "root", "password": password})
    added = {"username": "kim", "password1": "an0ther long one", "password2": "an0ther long one"}
    client.post("/admin/auth/user/add/", {**added, "usable_password": "true"})
    kim = User.objects.get(username="kim")
    kept = {"username": "kim", "date_joined_0": "2026-03-02", "date_joined_1": "12:00:00"}
    client.post(f"/admin/auth/user/{kim.pk}/change/", {**kept, "groups": [role.pk]})
    renewed = {"password1": "a third long one", "password2": "a third long one"}
    client.post(f"/admin/auth/user/{kim.pk}/password/", {**renewed, "usable_password": "true"})
    client.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"})
    client.post("/admin/logout/")

    entries = list(AuditEntry.objects.order_by("sequence"))
    assert [entry.action for entry in entries] == [
        "login.failed",
        "login.succeeded",
        "user.added",
        "user.changed",
        "user.changed",
        "role.deleted",
        "login.ended",
    ]
    assert {entry.actor for entry in entries} == {"root"}
    assert entries[3].data["after"]["roles"] == ["night shift"]
    assert list(entries[4].data["after"]) == ["password"]
    assert all(entry.data["address"] == "127.0.0.1" for entry in entries)
    assert "long one" not in str([entry.data for entry in entries])
