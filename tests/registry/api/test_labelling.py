"""Labels of services over HTTP, and the lists that they narrow."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import Service
from tests.api_clients import Answer, Bearer, Headers
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def own(api: APIClient, bearer: Bearer) -> Headers:
    """The token of the account whose services ``pay`` and ``shop`` are."""
    headers = bearer("registry:manage", "services:read", "labels:write", is_internal=True)
    for name in ("pay", "shop"):
        body = {"service_name": name, "service_url": f"http://127.0.0.1:9/{name}"}
        answer = api.post("/api/v1/services/register", body, format="json", headers=headers)
        assert answer.status_code == 200
    return headers


def put(api: APIClient, name: str, labels: Any, headers: Headers) -> Answer:
    path = f"/api/v1/services/{name}/labels"
    return api.put(path, {"labels": labels}, format="json", headers=headers)


def listed(api: APIClient, selector: str, headers: Headers) -> list[str]:
    answer = api.get("/api/v1/services", {"label": selector}, headers=headers)
    assert answer.status_code == 200, answer.json()
    return [row["service_name"] for row in answer.json()["services"]]


def test_labels_are_replaced_changed_and_read(api: APIClient, own: Headers) -> None:
    path = "/api/v1/services/pay/labels"
    first = put(api, "pay", {"team": "pay", "env": "prod"}, own)
    change = {"labels": {"team": None, "tier": "1", "gone": None}}
    second = api.patch(path, change, format="json", headers=own)

    assert first.json() == {"service_name": "pay", "labels": {"env": "prod", "team": "pay"}}
    assert second.json()["labels"] == {"env": "prod", "tier": "1"}
    assert api.get(path, headers=own).json() == second.json()
    entries = AuditEntry.objects.filter(action="service.labelled").order_by("sequence")
    assert [(row.data["before"], row.data["after"]) for row in entries] == [
        ({}, {"env": "prod", "team": "pay"}),
        ({"env": "prod", "team": "pay"}, {"env": "prod", "tier": "1"}),
    ]


def test_the_same_labels_again_change_nothing(api: APIClient, own: Headers) -> None:
    put(api, "pay", {"env": "prod"}, own)
    revision = Service.objects.get(name="pay").revision

    assert put(api, "pay", {"env": "prod"}, own).status_code == 200
    assert Service.objects.get(name="pay").revision == revision


def test_registration_keeps_the_labels(api: APIClient, own: Headers) -> None:
    put(api, "pay", {"env": "prod"}, own)

    body = {"service_name": "pay", "service_url": "http://127.0.0.1:9/new"}
    api.post("/api/v1/services/register", body, format="json", headers=own)

    assert listed(api, "env=prod", own) == ["pay"]


def test_lists_are_narrowed_by_a_selector(api: APIClient, own: Headers) -> None:
    put(api, "pay", {"env": "prod"}, own)

    assert listed(api, "env=prod", own) == ["pay"]
    assert listed(api, "env!=prod", own) == ["shop"]
    assert listed(api, "env=prod,!team", own) == ["pay"]
    wrong = api.get("/api/v1/services", {"label": "env in (prod)"}, headers=own)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid selector")


def test_a_stale_change_is_refused(api: APIClient, own: Headers) -> None:
    etag = put(api, "pay", {"env": "prod"}, own)["ETag"]
    put(api, "pay", {"env": "test"}, own)

    body = {"labels": {"env": None}}
    path = "/api/v1/services/pay/labels"
    answer = api.patch(path, body, format="json", headers={**own, "If-Match": etag})

    assert answer.status_code == 412
    assert Service.objects.get(name="pay").labels == {"env": "test"}


def test_labels_that_are_known_are_not_sent_again(api: APIClient, own: Headers) -> None:
    path = "/api/v1/services/pay/labels"
    etag = put(api, "pay", {"env": "prod"}, own)["ETag"]

    known = api.get(path, headers={**own, "If-None-Match": etag})
    put(api, "pay", {"env": "test"}, own)
    other = api.get(path, headers={**own, "If-None-Match": etag})

    assert (known.status_code, known.content, other.status_code) == (304, b"", 200)


@pytest.mark.parametrize(
    "labels", [None, [], "env=prod", {"env": 1}, {"": "x"}, {"a b": "x"}, {"env": "a,b"}]
)
def test_other_labels_are_refused_over_http(api: APIClient, own: Headers, labels: Any) -> None:
    answer = put(api, "pay", labels, own)

    assert answer.status_code == 400
    assert Service.objects.get(name="pay").labels == {}


def test_labels_take_their_scope_and_the_owner(
    api: APIClient, own: Headers, bearer: Bearer
) -> None:
    without_scope = bearer("registry:manage", "services:read", account="ci-2")
    other = bearer("labels:write", "services:read", account="other")

    assert put(api, "pay", {"env": "x"}, without_scope).status_code == 403
    assert put(api, "pay", {"env": "x"}, other).status_code == 403
    assert put(api, "nothing", {"env": "x"}, own).status_code == 404
    assert Service.objects.get(name="pay").labels == {}
