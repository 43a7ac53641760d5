"""The webhook routes: the reference's examples, and the order in which calls are checked."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry import operations as registry_operations
from registry.models import Event, Service
from webhooks import operations, retention, signatures
from webhooks.inbound import journal
from webhooks.models import GLOBAL, Delivery, InboundCall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
SECRET = "webhook-secret-key"
ARTIFACT = "https://github.com/example/payment/releases/v1.3.0/payment-v1.3.0.tar.gz"
UPDATE = {
    "service_name": NAME,
    "version": "1.3.0",
    "artifact_url": ARTIFACT,
    "artifact_type": "binary",
    "checksum": "sha256:abc123...",
    "webhook_secret": "optional-secret-for-signature-validation",
}
HEALTH = {
    "service_name": NAME,
    "status": "healthy",
    "timestamp": "2024-01-15T10:30:00Z",
    "details": {"uptime": 3600, "version": "1.3.0"},
}
LIFECYCLE = {
    "service_name": NAME,
    "event": "started",
    "timestamp": "2024-01-15T10:30:00Z",
    "details": {"version": "1.3.0", "pid": 12345},
}
UNAUTHORIZED = {
    "error": "Invalid signature",
    "message": "The call carries no valid signature of the service's secret.",
}


def post(api: APIClient, route: str, body: dict[str, Any] | bytes, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.post(
        f"/api/v1/webhooks/{route}", raw, content_type="application/json", headers=headers
    )


def configure(secret: str = SECRET, *, name: str = NAME) -> None:
    operations.configure(name, endpoints=None, secret=secret, now=timezone.now())


def signature(body: dict[str, Any], secret: str = SECRET) -> str:
    return signatures.sign_body(json.dumps(body).encode(), secret=secret)


@pytest.fixture
def service() -> Service:
    registration = registry_operations.Registration(service_name=NAME, url="http://localhost:8001")
    registry_operations.register(registration, by=None, now=timezone.now())
    return Service.objects.get(name=NAME)


# --- The reference's examples ---------------------------------------------------------------------


def test_update_as_printed(api: APIClient) -> None:
    response = post(api, "update", UPDATE)

    assert response.status_code == 202
    assert response.json() == {
        "status": "accepted",
        "message": "Update notification received for payment-service",
        "service_name": "payment-service",
        "version": "1.3.0",
    }


def test_check_updates_as_printed(api: APIClient, service: Service) -> None:
    registry_operations.record_version(NAME, version="1.2.3", at=timezone.now())
    post(api, "update", UPDATE)

    response = post(api, "check-updates", {"service_name": NAME})

    assert response.status_code == 200
    assert response.json() == {
        "status": "checked",
        "service_name": "payment-service",
        "current_version": "1.2.3",
        "latest_version": "1.3.0",
        "update_available": True,
    }


def test_deploy_as_printed(api: APIClient) -> None:
    body = {
        "service_name": NAME,
        "version": "1.3.0",
        "artifact_url": ARTIFACT,
        "artifact_type": "binary",
        "checksum": "sha256:abc123...",
        "strategy": "rolling",
        "webhook_secret": "optional-secret",
    }

    response = post(api, "deploy", body)
    again = post(api, "deploy", body)

    answer = response.json()
    assert response.status_code == again.status_code == 202
    assert again.json() == answer
    assert re.fullmatch(r"deploy-payment-service-1\.3\.0-\d{10}", answer.pop("job_id"))
    assert answer == {
        "status": "accepted",
        "message": "Deployment process started for service payment-service",
        "service_name": "payment-service",
        "version": "1.3.0",
    }


def test_another_deployment_is_in_progress(api: APIClient) -> None:
    post(api, "deploy", {"service_name": NAME, "version": "1.3.0", "artifact_url": ARTIFACT})

    response = post(
        api, "deploy", {"service_name": NAME, "version": "1.4.0", "artifact_url": ARTIFACT}
    )

    assert response.status_code == 409
    assert response.json()["error"] == "Deployment in progress"


def test_rollback_as_printed(api: APIClient, service: Service) -> None:
    registry_operations.record_version(NAME, version="1.2.3", at=timezone.now())
    post(api, "update", {"service_name": NAME, "version": "1.2.3", "artifact_url": ARTIFACT})

    response = post(api, "rollback", {"service_name": NAME, "version": "1.2.3"})

    answer = response.json()
    assert response.status_code == 202
    assert re.fullmatch(r"rollback-payment-service-1\.2\.3-\d{10}", answer.pop("job_id"))
    assert answer == {
        "status": "accepted",
        "message": "Rollback process started for service payment-service",
        "service_name": "payment-service",
        "version": "1.2.3",
    }


def test_a_rollback_to_what_never_ran_is_404(api: APIClient, service: Service) -> None:
    post(api, "update", {"service_name": NAME, "version": "6.6.6", "artifact_url": ARTIFACT})

    response = post(api, "rollback", {"service_name": NAME, "version": "6.6.6"})

    assert (response.status_code, response.json()["error"]) == (404, "Version not available")
    assert "never ran" in response.json()["message"]


def test_a_rollback_to_what_is_nowhere_is_404(api: APIClient, service: Service) -> None:
    response = post(api, "rollback", {"service_name": NAME, "version": "0.9.0"})

    assert response.status_code == 404
    assert response.json()["error"] == "Version not available"


@pytest.mark.parametrize(
    "body",
    [
        {"version": "1.3.0", "artifact_url": ARTIFACT, "strategy": "yolo"},
        {"version": "1.3.0"},
        {"version": "../etc", "artifact_url": ARTIFACT},
        {"version": "1.3.0", "artifact_url": "file:///etc/passwd"},
        {"version": "1.3.0", "artifact_url": ARTIFACT, "artifact_type": "script"},
        {"artifact_url": ARTIFACT},
    ],
)
def test_refuses_a_deployment_that_makes_no_sense(api: APIClient, body: dict[str, Any]) -> None:
    response = post(api, "deploy", {"service_name": NAME, **body})

    assert response.status_code == 400
    assert not Service.objects.filter(name=NAME).exists()


def test_health_as_printed(api: APIClient, service: Service) -> None:
    response = post(api, "health", HEALTH)

    assert response.status_code == 200
    assert response.json() == {
        "status": "received",
        "message": "Health status updated for payment-service",
    }


def test_lifecycle_as_printed(api: APIClient, service: Service) -> None:
    response = post(api, "lifecycle", LIFECYCLE)

    assert response.status_code == 200
    assert response.json() == {
        "status": "received",
        "message": "Lifecycle event processed for payment-service",
    }


def test_config_as_printed(api: APIClient) -> None:
    endpoints = {
        "slack": "https://hooks.slack.com/services/...",
        "discord": "https://discord.com/api/webhooks/...",
    }

    response = post(
        api,
        "config",
        {"service_name": NAME, "endpoints": endpoints, "secret": "webhook-secret-key"},
    )
    read = api.get("/api/v1/webhooks/config", {"service_name": NAME}).json()

    assert response.json() == {
        "status": "configured",
        "message": "Webhook configuration updated for payment-service",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", read.pop("configured_at"))
    assert read == {"service_name": NAME, "endpoints": endpoints}


def test_notify_as_printed(api: APIClient, service: Service, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/slack", method="POST").respond_with_data("ok")
    operations.configure(
        NAME,
        endpoints={"slack": httpserver.url_for("/slack")},
        secret=operations.UNSET,
        now=timezone.now(),
    )

    response = post(
        api,
        "notify",
        {
            "service_name": NAME,
            "channel": "slack",
            "message": "Service payment-service updated to version 1.3.0",
            "severity": "info",
        },
    )

    assert response.status_code == 200
    assert response.json() == {"status": "sent", "message": "Notification sent via slack"}
    assert Delivery.objects.get().status == Delivery.Status.DELIVERED


# --- What the reports do --------------------------------------------------------------------------


def test_health_shows_in_the_registry(api: APIClient, service: Service) -> None:
    post(api, "health", {"service_name": NAME, "status": "unhealthy"})

    service.refresh_from_db()
    assert service.health_status == Service.Health.DEGRADED
    assert Event.objects.filter(type="health.changed", service_name=NAME).count() == 1


def test_an_older_report_changes_no_state(api: APIClient, service: Service) -> None:
    now = timezone.now()
    later, earlier = now.isoformat(), (now - dt.timedelta(minutes=5)).isoformat()
    post(api, "health", {"service_name": NAME, "status": "unhealthy", "timestamp": later})

    response = post(
        api, "health", {"service_name": NAME, "status": "healthy", "timestamp": earlier}
    )

    service.refresh_from_db()
    assert response.status_code == 200
    assert service.health_status == Service.Health.DEGRADED


@pytest.mark.parametrize("route", ["update", "deploy", "rollback"])
@pytest.mark.parametrize("version", ["", "..", "_1", "v" * 129])
def test_refuses_what_is_no_version(
    api: APIClient, service: Service, route: str, version: str
) -> None:
    body = {"service_name": service.name, "version": version, "artifact_url": ARTIFACT}

    response = post(api, route, body)

    assert (response.status_code, response.json()["error"]) == (400, "Invalid version")


@pytest.mark.parametrize("route", ["health", "lifecycle"])
@pytest.mark.parametrize("timestamp", ["soon", "2024-13-01T00:00:00Z", "9999-01-01T00:00:00Z", ""])
def test_refuses_a_time_that_is_none_or_far_ahead(
    api: APIClient, service: Service, route: str, timestamp: str
) -> None:
    body = {**(HEALTH if route == "health" else LIFECYCLE), "timestamp": timestamp}

    assert post(api, route, body).status_code == 400


def test_started_with_a_version_records_what_runs(api: APIClient, service: Service) -> None:
    post(api, "lifecycle", LIFECYCLE)

    service.refresh_from_db()
    assert service.version == "1.3.0"


def test_a_crash_is_an_event(api: APIClient, service: Service) -> None:
    post(api, "lifecycle", {"service_name": NAME, "event": "crashed", "details": {"code": 139}})

    event = Event.objects.get(type="lifecycle.crashed")
    assert (event.service_name, event.data["details"]) == (NAME, {"code": 139})


@pytest.mark.parametrize("route", ["check-updates", "health", "lifecycle", "notify"])
def test_unknown_service_is_404(api: APIClient, route: str) -> None:
    body = {
        "service_name": "nobody",
        "status": "healthy",
        "event": "started",
        "channel": "slack",
        "message": "hello",
    }

    response = post(api, route, body)

    assert response.status_code == 404
    assert response.json()["error"] == "Service not found"


# --- Order of judgement ---------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["update", "health", "lifecycle", "check-updates", "notify"])
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"service_name": "a", "x": "' + b"a" * 1024 * 1024 + b'"}', 413),
        (b'{"service_name": "payment-service"', 400),
        (b'{"service_name": "a", "service_name": "payment-service"}', 400),
        (b'{"service_name": "a", "x": NaN}', 400),
        (b'["payment-service"]', 400),
        (b"\xff", 400),
        (b"{}", 400),
        (b'{"service_name": null}', 400),
        (b'{"service_name": 1}', 400),
        (b'{"service_name": "a b"}', 400),
        (b'{"service_name": "register"}', 400),
    ],
)
def test_a_body_that_names_no_service_is_refused_before_any_secret_is_looked_up(
    api: APIClient, route: str, raw: bytes, status: int
) -> None:
    configure(name=GLOBAL)

    assert post(api, route, raw).status_code == status


@pytest.mark.parametrize("route", ["update", "health", "lifecycle"])
def test_signature_is_verified_before_the_other_fields_and_the_service(
    api: APIClient, route: str
) -> None:
    configure()

    response = post(api, route, {"service_name": NAME, "version": 1})

    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("route", ["check-updates", "notify"])
def test_fields_are_validated_before_the_service(api: APIClient, route: str) -> None:
    expected = 404 if route == "check-updates" else 400

    assert post(api, route, {"service_name": "nobody"}).status_code == expected


WRONG_WAYS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"webhook_secret": "wrong"}, {}),
    ({"webhook_secret": ""}, {}),
    ({"webhook_secret": 7}, {}),
    ({}, {"X-Webhook-Signature": "sha256=" + "0" * 64}),
    ({}, {"X-Webhook-Signature": ""}),
    ({}, {"X-Webhook-Signature": "é"}),
    ({"webhook_secret": SECRET}, {"X-Webhook-Signature": "0" * 64}),
    ({}, {"X-Hub-Signature-256": "sha256=0"}),
    ({}, {"webhook-signature": "v1,AAAA"}),
    ({}, {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}),
]


@pytest.mark.parametrize(("extra", "headers"), WRONG_WAYS)
def test_every_way_to_fail_gets_the_same_401_and_changes_nothing(
    api: APIClient, service: Service, extra: dict[str, Any], headers: dict[str, str]
) -> None:
    configure()

    response = post(api, "health", {**HEALTH, "status": "unhealthy", **extra}, **headers)

    service.refresh_from_db()
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
    assert service.health_status == Service.Health.HEALTHY
    assert InboundCall.objects.get().verdict == InboundCall.Verdict.REFUSED


@pytest.mark.parametrize(
    ("extra", "headers"),
    [
        ({"webhook_secret": SECRET}, {}),
        ({}, {"X-Webhook-Signature": signature(HEALTH)}),
        ({}, {"X-Webhook-Signature": signature(HEALTH).removeprefix("sha256=")}),
        ({}, {"X-Hub-Signature-256": signature(HEALTH)}),
    ],
)
def test_each_way_to_prove_the_secret_is_accepted(
    api: APIClient, service: Service, extra: dict[str, Any], headers: dict[str, str]
) -> None:
    configure()

    assert post(api, "health", {**HEALTH, **extra}, **headers).status_code == 200


def test_a_secret_of_the_service_replaces_the_global_one(api: APIClient, service: Service) -> None:
    configure("the global secret", name=GLOBAL)
    configure()

    refused = post(api, "health", {**HEALTH, "webhook_secret": "the global secret"})
    accepted = post(api, "health", {**HEALTH, "webhook_secret": SECRET})

    assert (refused.status_code, accepted.status_code) == (401, 200)


def test_the_global_secret_guards_services_without_one(api: APIClient, service: Service) -> None:
    configure("the global secret", name=GLOBAL)

    refused = post(api, "health", HEALTH)
    accepted = post(api, "health", {**HEALTH, "webhook_secret": "the global secret"})

    assert (refused.status_code, accepted.status_code) == (401, 200)


def test_the_previous_secret_lives_for_a_day(api: APIClient, service: Service) -> None:
    now = timezone.now()
    for age_hours, secret in ((23, "the first secret"), (0, "the second secret")):
        operations.configure(
            NAME, endpoints=None, secret=secret, now=now - dt.timedelta(hours=age_hours)
        )

    assert post(api, "health", {**HEALTH, "webhook_secret": "the first secret"}).status_code == 200
    assert post(api, "health", {**HEALTH, "webhook_secret": "the second secret"}).status_code == 200


def test_the_previous_secret_dies_after_a_day(api: APIClient, service: Service) -> None:
    now = timezone.now()
    for age_hours, secret in ((30, "the first secret"), (25, "the second secret")):
        operations.configure(
            NAME, endpoints=None, secret=secret, now=now - dt.timedelta(hours=age_hours)
        )

    assert post(api, "health", {**HEALTH, "webhook_secret": "the first secret"}).status_code == 401
    assert post(api, "health", {**HEALTH, "webhook_secret": "the second secret"}).status_code == 200


def test_removed_secret_is_rejected_at_once(api: APIClient, service: Service) -> None:
    configure()
    operations.configure(NAME, endpoints=None, secret=None, now=timezone.now())

    assert post(api, "health", HEALTH).status_code == 200


def test_without_a_configured_secret_a_signature_must_fit_the_secret_that_comes_with_it(
    api: APIClient,
) -> None:
    secret = UPDATE["webhook_secret"]

    right = post(api, "update", UPDATE, **{"X-Webhook-Signature": signature(UPDATE, secret)})
    wrong = post(api, "update", UPDATE, **{"X-Webhook-Signature": signature(UPDATE, "other")})

    assert (right.status_code, wrong.status_code) == (202, 401)


def test_without_any_secret_a_signature_says_nothing(api: APIClient, service: Service) -> None:
    response = post(api, "health", HEALTH, **{"X-Webhook-Signature": "0" * 64})

    assert response.status_code == 200


# --- A message id acts once -----------------------------------------------------------------------


def test_the_same_message_again_gets_the_first_answer_and_does_nothing(
    api: APIClient, service: Service
) -> None:
    body = {"service_name": NAME, "event": "crashed"}

    answers = [post(api, "lifecycle", body, **{"webhook-id": "msg_1"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1
    assert Event.objects.filter(type="lifecycle.crashed").count() == 1


def test_the_same_message_id_with_another_body_is_409(api: APIClient, service: Service) -> None:
    post(api, "lifecycle", LIFECYCLE, **{"webhook-id": "msg_1"})

    response = post(api, "lifecycle", {**LIFECYCLE, "event": "stopped"}, **{"webhook-id": "msg_1"})

    assert response.status_code == 409


def test_a_refused_message_has_not_acted_and_may_come_again(api: APIClient) -> None:
    first = post(api, "lifecycle", LIFECYCLE, **{"webhook-id": "msg_1"})
    registration = registry_operations.Registration(service_name=NAME, url="http://localhost:8001")
    registry_operations.register(registration, by=None, now=timezone.now())

    second = post(api, "lifecycle", LIFECYCLE, **{"webhook-id": "msg_1"})

    assert (first.status_code, second.status_code) == (404, 200)


def test_one_sender_cannot_use_up_anothers_message_ids(api: APIClient, service: Service) -> None:
    post(api, "update", {**UPDATE, "service_name": "other"}, **{"webhook-id": "msg_1"})

    assert post(api, "update", UPDATE, **{"webhook-id": "msg_1"}).status_code == 202


@pytest.mark.parametrize("message_id", ["", "a b", "é", "a" * 201])
def test_refuses_a_message_id_that_is_none(
    api: APIClient, service: Service, message_id: str
) -> None:
    response = post(api, "health", HEALTH, **{"webhook-id": message_id})

    assert response.status_code == 400


# --- Calls are kept -------------------------------------------------------------------------------


def test_a_call_is_kept_with_its_answer_and_without_its_secrets(
    api: APIClient, service: Service
) -> None:
    configure()
    body = {**HEALTH, "webhook_secret": SECRET, "details": {"token": "t0ken"}}

    post(api, "health", body, Authorization="", **{"X-Api-Key": "k3y"})

    call = InboundCall.objects.get()
    assert (call.route, call.service_name, call.status) == ("health", NAME, 200)
    assert (call.verdict, call.proof) == ("accepted", "secret")
    kept = f"{call.body} {call.headers}"
    assert not [text for text in (SECRET, "t0ken", "k3y") if text in kept]


def test_a_body_without_secrets_is_kept_as_it_came(api: APIClient, service: Service) -> None:
    raw = json.dumps(HEALTH, indent=3).encode()

    post(api, "health", raw)

    assert InboundCall.objects.get().body == raw.decode()


def test_a_body_that_is_no_json_is_not_kept(api: APIClient) -> None:
    post(api, "health", b'{"webhook_secret": "' + SECRET.encode() + b'", }')

    call = InboundCall.objects.get()
    assert (call.status, call.body, call.is_whole) == (400, "", False)


# --- Refused calls without a known caller ---------------------------------------------------------


def test_a_refused_anonymous_call_keeps_few_headers(api: APIClient, service: Service) -> None:
    configure()
    many = {f"X-Long-{number}": "x" * 500 for number in range(60)}

    assert post(api, "health", HEALTH, **many).status_code == 401

    row = InboundCall.objects.get()
    assert 0 < len(json.dumps(row.headers).encode()) <= journal.MAX_UNAUTHENTICATED_HEADERS
    assert row.headers["content-type"] == "application/json"


def test_refused_anonymous_calls_are_a_bounded_ring(
    api: APIClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MAX_UNAUTHENTICATED", 3)
    monkeypatch.setattr(retention, "RING_SLACK", 2)
    configure()
    assert post(api, "health", {**HEALTH, "webhook_secret": SECRET}).status_code == 200
    assert post(api, "health", {**HEALTH, "status": 7, "webhook_secret": SECRET}).status_code == 400

    for number in range(9):
        refused = post(api, "health", HEALTH, **{"X-Request-ID": f"guess-{number}"})
        assert refused.status_code == 401

    kept = InboundCall.objects.filter(status=401).order_by("-received_at")
    assert 3 <= len(kept) <= 5
    assert kept[0].request_id == "guess-8"
    assert InboundCall.objects.filter(status__in=(200, 400)).count() == 2
