"""What staff take out of the lookups, and put back."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from registry import operations
from registry.models import Event
from tests.api_clients import Answer, Bearer, Headers
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

PATH = "/api/v1/services/pay/maintenance"


@pytest.fixture
def own(api: APIClient, bearer: Bearer) -> Headers:
    """The token of the account that owns ``pay``, with the instances ``a`` and ``b``."""
    headers = bearer("registry:manage", "services:read", is_internal=True)
    for instance_id in ("a", "b"):
        register(api, headers, instance_id)
    return headers


def register(api: APIClient, headers: Headers, instance_id: str) -> None:
    body = {
        "service_name": "pay",
        "service_url": f"http://127.0.0.1:9/{instance_id}",
        "instance_id": instance_id,
    }
    answer = api.post("/api/v1/services/register", body, format="json", headers=headers)
    assert answer.status_code == 200


def begin(api: APIClient, headers: Headers, **body: str) -> Answer:
    return api.put(PATH, body, format="json", headers=headers)


def found(api: APIClient, headers: Headers) -> set[str]:
    """Return what twenty resolutions and a lookup find."""
    picked = [
        api.get("/api/v1/services/pay/resolve", headers=headers).json()["instance_id"]
        for _ in range(20)
    ]
    url = api.get("/api/v1/services/pay", headers=headers).json()["service_url"]
    return {*picked, url.rpartition("/")[2]}


def weights(api: APIClient, headers: Headers) -> dict[str, int]:
    listed = api.get("/api/v1/services/pay/instances", headers=headers).json()["instances"]
    return {row["instance_id"]: row["weight"] for row in listed}


def test_instance_is_left_out_until_it_is_put_back(api: APIClient, own: Headers) -> None:
    begun = begin(api, own, instance_id="b", reason="new disk").json()
    out, shares = found(api, own), weights(api, own)
    api.delete(f"{PATH}?instance_id=b", headers=own)

    assert [(row["instance_id"], row["reason"]) for row in begun["instances"]] == [
        ("b", "new disk")
    ]
    assert not begun["is_in_maintenance"]
    assert (out, shares) == ({"a"}, {"a": 1, "b": 0})
    assert weights(api, own) == {"a": 1, "b": 1}
    assert found(api, own) == {"a", "b"}
    types = list(Event.objects.order_by("pk").values_list("type", flat=True))
    assert types[-2:] == ["service.maintenance_began", "service.maintenance_ended"]
    audited = AuditEntry.objects.filter(action__startswith="service.maintenance")
    assert {entry.data["instance_id"] for entry in audited} == {"b"}


def test_last_instance_is_found_nevertheless(api: APIClient, own: Headers) -> None:
    for instance_id in ("a", "b"):
        begin(api, own, instance_id=instance_id)

    assert found(api, own) <= {"a", "b"}
    assert set(weights(api, own).values()) == {0}


def test_service_in_maintenance_is_in_no_lookup_and_sends_heartbeats(
    api: APIClient, own: Headers
) -> None:
    begin(api, own, reason="migration")
    answers = [
        api.get(path, headers=own).status_code
        for path in (
            "/api/v1/services/pay",
            "/api/v1/services/pay/resolve",
            "/api/v1/services/pay/instances",
        )
    ]
    listed = api.get("/api/v1/services", headers=own).json()["total"]
    beat = {"instance_id": "a"}
    url = "/api/v1/services/pay/heartbeat"
    heartbeat = api.post(url, beat, format="json", headers=own).status_code
    seen = api.get(PATH, headers=own).json()
    api.delete(PATH, headers=own)

    assert (answers, listed, heartbeat) == ([404] * 3, 0, 200)
    assert (seen["is_in_maintenance"], seen["reason"]) == (True, "migration")
    assert found(api, own) == {"a", "b"}


def test_neither_deployment_nor_registration_puts_back_what_staff_took_out(
    api: APIClient, own: Headers
) -> None:
    begin(api, own, instance_id="b")

    for is_draining in (True, False):
        operations.set_draining("pay", "b", is_draining=is_draining)
    register(api, own, "b")

    assert found(api, own) == {"a"}


def test_the_same_again_changes_nothing(api: APIClient, own: Headers) -> None:
    begin(api, own, reason="x")
    first = begin(api, own, reason="x").json()
    other = begin(api, own, reason="y").json()
    api.delete(PATH, headers=own)
    again = api.delete(PATH, headers=own)

    assert (first["since"], first["reason"]) == (other["since"], "x")
    assert again.status_code == 200
    assert Event.objects.filter(type__startswith="service.maintenance").count() == 2
    assert AuditEntry.objects.filter(action__startswith="service.maintenance").count() == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [({"instance_id": "c"}, 404), ({"because": "x"}, 400), ({"instance_id": "--x"}, 404)],
)
def test_what_is_not_there_is_refused(
    api: APIClient, own: Headers, body: dict[str, str], status: int
) -> None:
    assert begin(api, own, **body).status_code == status


def test_other_accounts_may_not(api: APIClient, own: Headers, bearer: Bearer) -> None:
    stranger = bearer("registry:manage", "services:read", account="stranger")
    reader = bearer("services:read", account="reader")

    assert [begin(api, headers).status_code for headers in (stranger, reader)] == [403, 403]
    assert api.delete(PATH, headers=stranger).status_code == 403
    assert api.get(PATH, headers=reader).status_code == 200
