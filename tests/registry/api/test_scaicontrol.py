from __future__ import annotations

import re
from typing import Any

import pytest
from django.db.models import F
from pytest_django import Settings
from rest_framework.test import APIClient

from registry.directory import projection
from registry.models import Event, Service, Subscription
from tests.api_clients import Answer, Bearer, Headers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

REGISTER = "/api/v1/registry/register"
HEARTBEAT = "/api/v1/registry/heartbeat"
PROFILE = {
    "slug": "billing",
    "name": "Billing",
    "version": "1.4.0",
    "base_url": "http://10.0.0.7:8080",
}
WHOLE_PROFILE = {
    **PROFILE,
    "description": "Invoices and dunning",
    "app_id": "app-7",
    "health_check_url": "http://10.0.0.7:8080/health",
    "capabilities": ["rest", "invoicing"],
    "endpoints": {"health": "/health", "invoices": "/v1/invoices"},
    "metadata": {"team": "finance", "tier": 1},
    "heartbeat_interval_seconds": 20,
    "category": "finance",
    "contact_email": "billing@example.com",
}
DATA_KEYS = {
    "id",
    "slug",
    "name",
    "version",
    "previous_version",
    "status",
    "health_status",
    "auto_approved",
    "heartbeat_interval_seconds",
    "registered_at",
    "updated_at",
}


@pytest.fixture
def internal(bearer: Bearer) -> Headers:
    return bearer("registry:manage", account="internal", is_internal=True)


@pytest.fixture
def registered(api: APIClient, internal: Headers) -> dict[str, Any]:
    answer = api.post(REGISTER, WHOLE_PROFILE, format="json", headers=internal)
    data: dict[str, Any] = answer.json()["data"]
    return data


def error_code(answer: Answer) -> str:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "request_id"}
    assert body["error"]["request_id"] == answer["X-Request-ID"]
    return str(body["error"]["code"])


def fault_places(answer: Answer) -> list[list[str]]:
    assert answer.status_code == 422
    body = answer.json()
    assert set(body) == {"detail"}
    assert all(set(fault) == {"loc", "msg", "type"} for fault in body["detail"])
    return [fault["loc"] for fault in body["detail"]]


# --- Registering ----------------------------------------------------------------------------------


def test_registers_a_service(api: APIClient, internal: Headers) -> None:
    answer = api.post(REGISTER, WHOLE_PROFILE, format="json", headers=internal)

    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"data", "meta"}
    assert set(body["data"]) == DATA_KEYS
    assert body["data"]["slug"] == "billing"
    assert body["data"]["name"] == "Billing"
    assert body["data"]["previous_version"] is None
    assert body["data"]["status"] == "active"
    assert body["data"]["health_status"] == "healthy"
    assert body["data"]["auto_approved"] is True
    assert body["data"]["heartbeat_interval_seconds"] == 20
    assert body["meta"]["request_id"] == answer["X-Request-ID"]
    assert body["meta"]["timestamp"].endswith("+00:00")


def test_registers_a_service_that_says_only_what_it_must(api: APIClient, internal: Headers) -> None:
    answer = api.post(REGISTER, PROFILE, format="json", headers=internal)

    assert answer.status_code == 201
    assert answer.json()["data"]["heartbeat_interval_seconds"] == 30


def test_keeps_what_a_service_says_of_itself(registered: dict[str, Any]) -> None:
    service = Service.objects.get(name="billing")

    assert service.endpoints == WHOLE_PROFILE["endpoints"]
    assert service.metadata == WHOLE_PROFILE["metadata"]
    assert service.capabilities == ["rest", "invoicing"]
    assert service.contact_email == "billing@example.com"


def test_a_registered_service_is_found_in_the_other_dialect(
    api: APIClient, registered: dict[str, Any]
) -> None:
    found = api.get("/api/v1/services/billing").json()

    assert found["service_id"] == registered["id"]
    assert found["service_url"] == "http://10.0.0.7:8080"
    [instance] = api.get("/api/v1/services/billing/instances").json()["instances"]
    assert instance["ttl"] == 60  # 20 s times the grace multiplier


def test_refuses_a_slug_that_is_registered(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    answer = api.post(REGISTER, {**PROFILE, "version": "2.0.0"}, format="json", headers=internal)

    assert answer.status_code == 409
    assert error_code(answer) == "conflict"
    assert Service.objects.get().version == "1.4.0"


def test_a_service_of_an_unknown_account_waits_for_approval(api: APIClient, bearer: Bearer) -> None:
    headers = bearer("registry:manage")

    answer = api.post(REGISTER, PROFILE, format="json", headers=headers)

    assert answer.json()["data"]["status"] == "pending_approval"
    assert answer.json()["data"]["auto_approved"] is False
    assert api.get("/api/v1/services/billing").status_code == 404
    beat = api.post(HEARTBEAT, {"slug": "billing"}, format="json", headers=headers)
    assert beat.json()["data"]["status"] == "pending_approval"


def test_approves_slugs_that_are_known_to_be_internal(
    api: APIClient, bearer: Bearer, settings: Settings
) -> None:
    settings.SAGA_INTERNAL_SERVICES = ["bill*"]

    answer = api.post(REGISTER, PROFILE, format="json", headers=bearer("registry:manage"))

    assert answer.json()["data"]["status"] == "active"
    assert answer.json()["data"]["auto_approved"] is True


# --- Registering again ----------------------------------------------------------------------------


def test_the_same_again_changes_and_publishes_nothing(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    before = list(Service.objects.values())
    events = Event.objects.count()

    answer = api.put(REGISTER, WHOLE_PROFILE, format="json", headers=internal)

    assert answer.status_code == 200
    assert answer.json()["data"] == registered
    assert list(Service.objects.values()) == before
    assert Event.objects.count() == events


def test_records_a_new_version_and_publishes_it(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    body = {**WHOLE_PROFILE, "version": "1.5.0"}

    answer = api.put(REGISTER, body, format="json", headers=internal)

    assert answer.json()["data"]["version"] == "1.5.0"
    assert answer.json()["data"]["previous_version"] == "1.4.0"
    assert answer.json()["data"]["id"] == registered["id"]
    [reported] = Event.objects.filter(type="service.version_changed")
    assert reported.data["old_version"] == "1.4.0"
    assert reported.data["new_version"] == "1.5.0"


def test_updates_no_service_that_does_not_exist(api: APIClient, internal: Headers) -> None:
    answer = api.put(REGISTER, PROFILE, format="json", headers=internal)

    assert answer.status_code == 404
    assert error_code(answer) == "not_found"
    assert not Service.objects.exists()


# --- Beating --------------------------------------------------------------------------------------


def test_a_heartbeat_answers_how_the_service_stands(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    body = {
        "slug": "billing",
        "status": "healthy",
        "version": "1.4.0",
        "uptime_seconds": 12.5,
        "timestamp": "2026-01-01T10:00:00Z",
        "instance_id": "a",
        "checks": {"database": {"ok": True}},
        "metrics": {"rps": 12, "p99": 0.25},
        "message": "fine",
    }

    answer = api.post(HEARTBEAT, body, format="json", headers=internal)

    assert answer.status_code == 200
    data = answer.json()["data"]
    assert data.pop("server_time").endswith("+00:00")
    assert data == {
        "ok": True,
        "slug": "billing",
        "status": "active",
        "health_status": "healthy",
        "heartbeat_interval_seconds": 20,
    }


def test_a_heartbeat_makes_a_degraded_service_active_again(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    Service.objects.update(
        status="degraded",
        health_status="degraded",
        consecutive_misses=4,
        revision=F("revision") + 1,
    )
    projection.refill()

    answer = api.post(HEARTBEAT, {"slug": "billing"}, format="json", headers=internal)

    assert answer.json()["data"]["status"] == "active"
    assert answer.json()["data"]["health_status"] == "healthy"
    assert Service.objects.get().consecutive_misses == 0


def test_a_heartbeat_for_an_unknown_slug_is_not_found(api: APIClient, internal: Headers) -> None:
    answer = api.post(HEARTBEAT, {"slug": "nobody"}, format="json", headers=internal)

    assert answer.status_code == 404
    assert error_code(answer) == "not_found"


# --- Leaving --------------------------------------------------------------------------------------


def test_deregisters_a_service(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    answer = api.delete(
        REGISTER, {"slug": "billing", "reason": "retired"}, format="json", headers=internal
    )

    assert answer.status_code == 204
    assert answer.content == b""
    assert api.get("/api/v1/services/billing").status_code == 404
    assert Service.objects.get().status == "deregistered"
    again = api.delete(REGISTER, {"slug": "billing"}, format="json", headers=internal)
    assert again.status_code == 404


def test_a_deregistered_slug_may_register_again(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    api.delete(REGISTER, {"slug": "billing"}, format="json", headers=internal)

    answer = api.post(REGISTER, PROFILE, format="json", headers=internal)

    assert answer.status_code == 201
    assert api.get("/api/v1/services/billing").status_code == 200


@pytest.mark.parametrize("state", ["pending", "active", "suspended"])
def test_subscriptions_block_deregistration_and_are_counted(
    api: APIClient, internal: Headers, registered: dict[str, Any], state: str
) -> None:
    service = Service.objects.get()
    for number in range(2):
        Subscription.objects.create(
            service=service, subscriber=f"s{number}", state=state, is_accepted=True
        )
    Subscription.objects.create(
        service=service, subscriber="gone", state="cancelled", is_accepted=True
    )
    Subscription.objects.create(service=service, subscriber="stranger")

    answer = api.delete(REGISTER, {"slug": "billing"}, format="json", headers=internal)

    assert answer.status_code == 409
    assert error_code(answer) == "conflict"
    assert "2" in answer.json()["error"]["message"]
    assert Service.objects.get().status == "active"


def test_cancelled_subscriptions_block_nothing(
    api: APIClient, internal: Headers, registered: dict[str, Any]
) -> None:
    Subscription.objects.create(service=Service.objects.get(), subscriber="gone", state="cancelled")

    answer = api.delete(REGISTER, {"slug": "billing"}, format="json", headers=internal)

    assert answer.status_code == 204


# --- Permissions ----------------------------------------------------------------------------------

CALLS = [
    ("post", REGISTER, {**PROFILE, "slug": "mail"}),
    ("put", REGISTER, {**PROFILE, "version": "6.6.6"}),
    ("post", HEARTBEAT, {"slug": "billing", "status": "unhealthy"}),
    ("delete", REGISTER, {"slug": "billing"}),
]


def send(api: APIClient, method: str, path: str, body: Any, headers: Headers) -> Answer:
    answer: Answer = getattr(api, method)(path, body, format="json", headers=headers)
    return answer


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_asks_for_a_token_in_open_mode_too(
    api: APIClient, registered: dict[str, Any], method: str, path: str, body: Any
) -> None:
    before = list(Service.objects.values())

    for headers in ({}, {"Authorization": "Bearer unknown"}):
        answer = send(api, method, path, body, headers)

        assert answer.status_code == 401
        assert error_code(answer) == "unauthorized"
        assert answer["WWW-Authenticate"] == "Bearer"
    assert list(Service.objects.values()) == before


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_asks_for_the_scope(
    api: APIClient, bearer: Bearer, registered: dict[str, Any], method: str, path: str, body: Any
) -> None:
    before = list(Service.objects.values())

    answer = send(api, method, path, body, bearer("services:read", "webhooks:send"))

    assert answer.status_code == 403
    assert error_code(answer) == "forbidden"
    assert list(Service.objects.values()) == before


@pytest.mark.parametrize(("method", "path", "body"), CALLS[1:])
def test_another_account_may_not_touch_a_service(
    api: APIClient, bearer: Bearer, registered: dict[str, Any], method: str, path: str, body: Any
) -> None:
    before = list(Service.objects.values())

    answer = send(api, method, path, body, bearer("registry:manage", account="other"))

    assert answer.status_code == 403
    assert list(Service.objects.values()) == before


@pytest.mark.parametrize(("method", "path", "body"), CALLS[1:])
def test_an_administrator_may_touch_any_service(
    api: APIClient, bearer: Bearer, registered: dict[str, Any], method: str, path: str, body: Any
) -> None:
    answer = send(api, method, path, body, bearer("admin:registry", account="chief"))

    assert answer.status_code in (200, 204)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("delete", "/api/v1/services/billing"),
        ("post", "/api/v1/services/billing/heartbeat"),
    ],
)
def test_anonymous_callers_cannot_change_an_owned_service(
    api: APIClient, registered: dict[str, Any], method: str, path: str
) -> None:
    answer = send(api, method, path, None, {})

    assert answer.status_code == 403
    assert set(answer.json()) == {"error", "message"}
    assert api.get("/api/v1/services/billing").status_code == 200


def test_an_account_that_may_touch_some_services_registers_no_other(
    api: APIClient, bearer: Bearer
) -> None:
    headers = bearer("registry:manage", services=["billing"])

    refused = api.post(REGISTER, {**PROFILE, "slug": "mail"}, format="json", headers=headers)
    taken = api.post(REGISTER, PROFILE, format="json", headers=headers)

    assert refused.status_code == 403
    assert taken.status_code == 201
    assert Service.objects.get().name == "billing"


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"slug": None}, "slug"),
        ({"slug": ""}, "slug"),
        ({"slug": 7}, "slug"),
        ({"slug": "two words"}, "slug"),
        ({"slug": "register"}, "slug"),
        ({"slug": "a" * 129}, "slug"),
        ({"slug": "ü"}, "slug"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": ["Billing"]}, "name"),
        ({"version": None}, "version"),
        ({"version": "1..0"}, "version"),
        ({"version": 1.4}, "version"),
        ({"base_url": None}, "base_url"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "http://user:pass@x"}, "base_url"),
        ({"base_url": "http://" + "x" * 2048}, "base_url"),
        ({"base_url": "http://[::1"}, "base_url"),
        ({"health_check_url": "javascript:alert(1)"}, "health_check_url"),
        ({"capabilities": "rest"}, "capabilities"),
        ({"capabilities": [1]}, "capabilities"),
        ({"endpoints": ["/health"]}, "endpoints"),
        ({"endpoints": {"health": 1}}, "endpoints"),
        ({"metadata": "x"}, "metadata"),
        ({"heartbeat_interval_seconds": 4}, "heartbeat_interval_seconds"),
        ({"heartbeat_interval_seconds": 3601}, "heartbeat_interval_seconds"),
        ({"heartbeat_interval_seconds": "30"}, "heartbeat_interval_seconds"),
        ({"heartbeat_interval_seconds": True}, "heartbeat_interval_seconds"),
        ({"heartbeat_interval_seconds": 30.5}, "heartbeat_interval_seconds"),
        ({"contact_email": "nobody"}, "contact_email"),
        ({"description": {"a": 1}}, "description"),
    ],
)
def test_names_the_field_that_is_wrong(
    api: APIClient, internal: Headers, change: dict[str, Any], place: str
) -> None:
    for method in ("post", "put"):
        answer = send(api, method, REGISTER, {**WHOLE_PROFILE, **change}, internal)

        [loc] = fault_places(answer)
        assert loc[:2] == ["body", place]
    assert not Service.objects.exists()


def test_names_every_field_that_is_missing(api: APIClient, internal: Headers) -> None:
    answer = api.post(REGISTER, {}, format="json", headers=internal)

    assert sorted(fault_places(answer)) == [
        ["body", "base_url"],
        ["body", "name"],
        ["body", "slug"],
        ["body", "version"],
    ]
    assert {fault["type"] for fault in answer.json()["detail"]} == {"missing"}


def test_null_is_the_same_as_absent(api: APIClient, internal: Headers) -> None:
    nothing = {key: None for key in WHOLE_PROFILE if key not in PROFILE}

    answer = api.post(REGISTER, {**PROFILE, **nothing}, format="json", headers=internal)

    assert answer.status_code == 201


def test_passes_over_keys_that_it_does_not_know(api: APIClient, internal: Headers) -> None:
    answer = api.post(REGISTER, {**PROFILE, "status": "active!"}, format="json", headers=internal)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"slug": None}, "slug"),
        ({"slug": "two words"}, "slug"),
        ({"status": "fine"}, "status"),
        ({"status": 1}, "status"),
        ({"status": ["healthy"]}, "status"),
        ({"version": 1}, "version"),
        ({"uptime_seconds": "12"}, "uptime_seconds"),
        ({"uptime_seconds": -1}, "uptime_seconds"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 12}, "timestamp"),
        ({"instance_id": "a/b"}, "instance_id"),
        ({"checks": []}, "checks"),
        ({"metrics": {"rps": "many"}}, "metrics"),
        ({"metrics": 3}, "metrics"),
        ({"message": 3}, "message"),
    ],
)
def test_names_the_field_of_a_heartbeat_that_is_wrong(
    api: APIClient,
    internal: Headers,
    registered: dict[str, Any],
    change: dict[str, Any],
    place: str,
) -> None:
    answer = api.post(HEARTBEAT, {"slug": "billing", **change}, format="json", headers=internal)

    [loc] = fault_places(answer)
    assert loc[:2] == ["body", place]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"billing"',
        b"\xff\xfe",
        b'{"slug": "a", "slug": "b"}',
        b'{"slug": NaN}',
        b'{"slug": "\\ud800"}',
        b'{"slug": "a\\u0000"}',
        b"[" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"uptime_seconds": ' + b"9" * 5000 + b"}",
        b'{"uptime_seconds": 1e999}',
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("post", REGISTER), ("put", REGISTER), ("delete", REGISTER), ("post", HEARTBEAT)],
)
def test_refuses_a_body_that_is_no_strict_json_object(
    api: APIClient, internal: Headers, method: str, path: str, raw: bytes
) -> None:
    answer = getattr(api, method)(path, raw, content_type="application/json", headers=internal)

    assert fault_places(answer) == [["body"]]


def test_refuses_what_is_too_large(api: APIClient, internal: Headers) -> None:
    raw = b'{"slug": "' + b"a" * (1024 * 1024) + b'"}'

    answer = api.post(REGISTER, raw, content_type="application/json", headers=internal)

    assert answer.status_code == 413
    assert error_code(answer) == "payload_too_large"


def test_refuses_what_is_not_json(api: APIClient, internal: Headers) -> None:
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ):
        answer = api.post(REGISTER, b"slug=billing", content_type=kind, headers=internal)

        assert answer.status_code == 415
        assert error_code(answer) == "unsupported_media_type"


def test_names_the_methods_that_it_takes(api: APIClient, internal: Headers) -> None:
    answer = api.get(REGISTER, headers=internal)

    assert answer.status_code == 405
    assert error_code(answer) == "method_not_allowed"
    assert {"POST", "PUT", "DELETE"} <= set(re.split(r",\s*", answer["Allow"]))


def test_an_unknown_route_is_not_found_in_its_own_words(api: APIClient) -> None:
    answer = api.get("/api/v1/registry/unknown")

    assert answer.status_code == 404
    assert error_code(answer) == "not_found"


@pytest.mark.parametrize("version", ["", "1:2.3-1~deb12u1"])
def test_a_heartbeat_with_an_unusable_version_is_recorded_with_a_warning(
    api: APIClient, internal: Headers, version: str
) -> None:
    api.post(REGISTER, PROFILE, format="json", headers=internal)

    answer = api.post(
        HEARTBEAT, {"slug": PROFILE["slug"], "version": version}, format="json", headers=internal
    )

    assert answer.status_code == 200
    [warning] = answer.json()["data"]["warnings"]
    assert f"'{version}'" in warning
    assert Service.objects.get().version == PROFILE["version"]
