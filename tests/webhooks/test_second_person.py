"""A second person approves what a token, a signature or a replay asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from registry.models import Service
from tests import factories
from tests.api_clients import Bearer, Headers
from updates import errors
from updates.models import Approval, AuditEntry, Job, Release
from webhooks import inbound, operations, signatures
from webhooks.errors import ReplayNotAllowed
from webhooks.models import InboundCall

import updates.operations  # isort: skip

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
SECRET = "webhook-secret-key"
DEPLOY = {"service_name": NAME, "version": "1.3.0", "artifact_url": "https://ci.example/1.3.0.tgz"}
ROLLBACK = {"service_name": NAME, "version": "1.2.3"}


@pytest.fixture
def service() -> Service:
    service = factories.ServiceFactory.create(name=NAME)
    factories.PolicyFactory.create(service=service, requires_second_person=True)
    factories.ReleaseFactory.create(service=service, version="1.2.3")
    factories.HistoryEntryFactory.create(
        service_name=NAME, old_version="1.2.3", new_version="1.4.0"
    )
    return service


@pytest.fixture
def ci(bearer: Bearer) -> Headers:
    return bearer("updates:deploy", account="ci")


def post(api: APIClient, route: str, body: dict[str, Any], headers: Headers | None = None) -> Any:
    return api.post(
        f"/api/v1/webhooks/{route}",
        json.dumps(body),
        content_type="application/json",
        headers=headers or {},
    )


def approve(approval: Approval, *, by: str = "sam") -> None:
    updates.operations.approve(approval, by=by, now=timezone.now())


def person(*permissions: str) -> inbound.Person:
    return inbound.Person("otto", lambda permission: permission in permissions)


@pytest.mark.parametrize(("route", "body"), [("deploy", DEPLOY), ("rollback", ROLLBACK)])
def test_a_token_asks_a_second_person(
    api: APIClient, service: Service, ci: Headers, route: str, body: dict[str, Any]
) -> None:
    first, again = post(api, route, body, ci), post(api, route, body, ci)

    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["status"], first.json()["job_id"]) == ("awaiting_approval", None)
    assert not Job.objects.exists()
    approval = Approval.objects.get()
    assert (approval.requested_by, approval.kind) == ("ci", route)

    approve(approval)
    job = Job.objects.get()
    assert (job.kind, job.version) == (route, body["version"])
    assert job.requested_by == "ci, approved by sam"


def test_the_requester_does_not_approve_its_own_request(
    api: APIClient, service: Service, ci: Headers
) -> None:
    post(api, "deploy", DEPLOY, ci)

    with pytest.raises(errors.OwnRequest):
        approve(Approval.objects.get(), by="ci")
    assert not Job.objects.exists()


def test_another_request_waits_for_the_answer_to_the_first(
    api: APIClient, service: Service, ci: Headers
) -> None:
    post(api, "deploy", DEPLOY, ci)

    assert post(api, "rollback", ROLLBACK, ci).json()["error"] == "Approval already asked for"


def test_a_signature_asks_a_second_person(api: APIClient, service: Service) -> None:
    operations.configure(NAME, endpoints=None, secret=SECRET, now=timezone.now())
    signature = signatures.sign_body(json.dumps(DEPLOY).encode(), secret=SECRET)

    answer = post(api, "deploy", DEPLOY, {"X-Webhook-Signature": signature})

    assert answer.json()["status"] == "awaiting_approval"
    assert Approval.objects.get().requested_by == "webhook (signed)"
    assert not Job.objects.exists()


def test_an_administrators_token_overrides_with_a_reason(
    api: APIClient,
    service: Service,
    ci: Headers,
    bearer: Bearer,
) -> None:
    body = {**DEPLOY, "override_reason": "the shop is down"}
    chief = bearer("admin:registry", account="chief")

    assert post(api, "deploy", body, ci).json()["error"] == "Override not allowed"
    assert post(api, "deploy", body, chief).status_code == 202
    entry = AuditEntry.objects.get(action="approval.overridden")
    assert (entry.actor, entry.data["reason"]) == ("chief", "the shop is down")


def test_the_audit_trail_distinguishes_tokens(api: APIClient, ci: Headers) -> None:
    headers = {**ci, "X-Request-ID": "build-77"}

    post(api, "deploy", DEPLOY, headers)

    entry = AuditEntry.objects.get(action="job.deploy")
    assert entry.actor == "ci"
    assert entry.data["token"] == ci["Authorization"].removeprefix("Bearer ")[:12]
    assert (entry.data["address"], entry.data["request_id"]) == ("127.0.0.1", "build-77")


# --- Quarantine -----------------------------------------------------------------------------------


def test_a_quarantined_release_takes_force_and_a_reason(api: APIClient) -> None:
    service = factories.ServiceFactory.create(name=NAME)
    factories.ReleaseFactory.create(service=service, version="1.3.0", state="quarantined")
    body = {"service_name": NAME, "version": "1.3.0"}

    refused = post(api, "deploy", body)
    assert (refused.status_code, refused.json()["error"]) == (409, "Release quarantined")
    for more in ({"force": True}, {"force": True, "reason": " "}):
        assert post(api, "deploy", {**body, **more}).json()["error"] == "Reason missing"
    assert post(api, "deploy", {**body, "reason": "why not"}).status_code == 409
    assert not Job.objects.exists()

    forced = post(api, "deploy", {**body, "force": True, "reason": "the disk was full"})
    assert forced.status_code == 202
    assert Release.objects.get().state == "quarantined"


# --- Replay ---------------------------------------------------------------------------------------


def recorded(api: APIClient, route: str, body: dict[str, Any], headers: Headers) -> InboundCall:
    assert post(api, route, body, headers).status_code in (200, 202)
    return InboundCall.objects.latest("received_at")


def test_a_replay_takes_the_permission_of_its_effect(api: APIClient, ci: Headers) -> None:
    call = recorded(api, "deploy", DEPLOY, ci)
    Job.objects.all().delete()

    with pytest.raises(ReplayNotAllowed, match=r"updates\.add_job"):
        inbound.replay_call(call.pk, by=person("webhooks.replay_inboundcall"), now=timezone.now())
    assert not Job.objects.exists()

    inbound.replay_call(call.pk, by=person("updates.add_job"), now=timezone.now())
    assert Job.objects.get().requested_by == "otto"
    assert AuditEntry.objects.get(action="call.replayed").actor == "otto"
    assert set(AuditEntry.objects.filter(action="job.deploy").values_list("actor", flat=True)) == {
        "ci",
        "otto",
    }


def test_a_replay_does_not_pass_the_second_person(api: APIClient, ci: Headers) -> None:
    call = recorded(api, "deploy", DEPLOY, ci)
    Job.objects.all().delete()
    factories.PolicyFactory.create(
        service=Service.objects.get(name=NAME), requires_second_person=True
    )

    answer = inbound.replay_call(call.pk, by=person("updates.add_job"), now=timezone.now())

    assert answer.body["status"] == "awaiting_approval"
    assert Approval.objects.get().requested_by == "otto"
    assert not Job.objects.exists()


def test_a_replay_overrides_only_with_the_right(
    api: APIClient,
    bearer: Bearer,
) -> None:
    chief = bearer("admin:registry", account="chief")
    call = recorded(api, "deploy", {**DEPLOY, "override_reason": "the shop is down"}, chief)
    Job.objects.all().delete()

    with pytest.raises(errors.OverrideNotAllowed):
        inbound.replay_call(call.pk, by=person("updates.add_job"), now=timezone.now())
    assert not Job.objects.exists()
