"""Approvals by API: the second person is another account."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

import webhooks.operations
from registry.identity import accounts
from registry.models import Service
from tests import factories
from tests.api_clients import Bearer, Headers
from updates.models import Approval, AuditEntry, Freeze, Job, Policy
from webhooks import signatures

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "payment-service"
DEPLOY = {"service_name": NAME, "version": "1.3.0", "artifact_url": "https://ci.example/1.3.0.tgz"}
SECRET = "a secret of sixteen bytes"


@pytest.fixture
def service() -> Service:
    service = factories.ServiceFactory.create(name=NAME)
    factories.PolicyFactory.create(service=service, requires_second_person=True)
    return service


@pytest.fixture
def ci(bearer: Bearer) -> Headers:
    return bearer("updates:deploy", "approvals:decide", account="ci")


@pytest.fixture
def sam(bearer: Bearer) -> Headers:
    return bearer("approvals:decide", account="sam")


def post(api: APIClient, path: str, body: dict[str, Any], headers: Headers | None = None) -> Any:
    return api.post(
        f"/api/v1/{path}",
        json.dumps(body),
        content_type="application/json",
        headers=headers or {},
    )


def requested(api: APIClient, headers: Headers | None = None) -> Approval:
    answer = post(api, "webhooks/deploy", {**DEPLOY, "reason": "release day"}, headers)
    assert answer.json()["status"] == "awaiting_approval"
    return Approval.objects.get()


def test_another_account_approves_and_the_deployment_begins(
    api: APIClient, service: Service, ci: Headers, sam: Headers
) -> None:
    approval = requested(api, ci)

    answer = post(api, f"approvals/{approval.pk}/approve", {"reason": "looks good"}, sam)

    assert answer.status_code == 200
    job = Job.objects.get()
    assert (job.version, job.requested_by) == ("1.3.0", "ci, approved by sam")
    assert answer.json() == {
        "id": approval.pk,
        "service_name": NAME,
        "version": "1.3.0",
        "kind": "deploy",
        "state": "approved",
        "strategy": "rolling",
        "artifact_url": DEPLOY["artifact_url"],
        "checksum": None,
        "requested_at": answer.json()["requested_at"],
        "requested_by": "ci",
        "request_reason": "release day",
        "required_approvals": 1,
        "decisions": [
            {
                "verdict": "approved",
                "decided_by": "sam",
                "decided_at": answer.json()["decided_at"],
                "way": "api",
                "token_prefix": sam["Authorization"].removeprefix("Bearer ")[:12],
                "reason": "looks good",
            }
        ],
        "expires_at": None,
        "decided_at": answer.json()["decided_at"],
        "decided_by": "sam",
        "reason": "looks good",
        "job_id": job.job_id,
    }
    assert AuditEntry.objects.get(action="update.approved").actor == "sam"
    again = post(api, f"approvals/{approval.pk}/approve", {}, sam)
    assert (again.status_code, again.json()["error"]) == (409, "Approval already decided")


def test_a_rejection_takes_a_reason(
    api: APIClient, service: Service, ci: Headers, sam: Headers
) -> None:
    approval = requested(api, ci)

    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": None}):
        assert post(api, f"approvals/{approval.pk}/reject", body, sam).status_code == 400
    answer = post(api, f"approvals/{approval.pk}/reject", {"reason": "not on a Friday"}, sam)

    assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    assert answer.json()["reason"] == "not on a Friday"
    assert not Job.objects.exists()


def test_no_token_of_the_requesting_account_approves(
    api: APIClient,
    service: Service,
    ci: Headers,
    bearer: Bearer,
) -> None:
    approval = requested(api, ci)

    for scope in ("approvals:decide", "admin:registry"):
        other = bearer(scope, account="ci")
        answer = post(api, f"approvals/{approval.pk}/approve", {}, other)
        assert (answer.status_code, answer.json()["error"]) == (403, "Own request")
    assert not Job.objects.exists()


def test_several_accounts_are_counted_once_each(
    api: APIClient,
    service: Service,
    ci: Headers,
    sam: Headers,
    bearer: Bearer,
) -> None:
    Policy.objects.update(required_approvals=2)
    path = f"approvals/{requested(api, ci).pk}/approve"

    first = post(api, path, {"reason": "fine"}, sam)
    again = post(api, path, {}, bearer("approvals:decide", account="sam"))

    assert (first.status_code, first.json()["state"]) == (200, "pending")
    assert (first.json()["required_approvals"], first.json()["decided_by"]) == (2, None)
    assert (again.status_code, again.json()["error"]) == (409, "Already approved by you")
    assert not Job.objects.exists()
    last = post(api, path, {}, bearer("approvals:decide", account="ada"))
    assert (last.json()["state"], last.json()["decided_by"]) == ("approved", "sam, ada")
    assert Job.objects.get().requested_by == "ci, approved by sam, ada"


def test_an_expired_request_is_conflict_and_can_be_made_again(
    api: APIClient, service: Service, ci: Headers, sam: Headers
) -> None:
    Policy.objects.update(approval_expires_after_hours=2)
    approval = requested(api, ci)
    assert post(api, "webhooks/deploy", {**DEPLOY, "reason": "release day"}, ci).status_code == 202
    Approval.objects.update(expires_at=timezone.now())

    for verb in ("approve", "reject"):
        late = post(api, f"approvals/{approval.pk}/{verb}", {"reason": "late"}, sam)
        assert (late.status_code, late.json()["error"]) == (409, "Approval expired")
    again = post(api, "webhooks/deploy", {**DEPLOY, "reason": "release day"}, ci)

    assert again.json()["status"] == "awaiting_approval"
    assert set(Approval.objects.values_list("state", flat=True)) == {"expired", "pending"}
    assert not Job.objects.exists()


def test_the_owner_does_not_approve_what_its_secret_signed(
    api: APIClient, service: Service, sam: Headers, ci: Headers
) -> None:
    webhooks.operations.configure(NAME, endpoints=None, secret=SECRET, now=timezone.now())
    Service.objects.update(account=accounts.ensure_account("ci", scopes=[]))
    body = json.dumps(DEPLOY).encode()
    headers = {"X-Webhook-Signature": signatures.sign_body(body, secret=SECRET)}
    assert post(api, "webhooks/deploy", DEPLOY, headers).status_code == 202
    path = f"approvals/{Approval.objects.get().pk}/approve"

    assert post(api, path, {}, ci).json()["error"] == "Own request"
    assert post(api, path, {}, sam).status_code == 200


def test_open_mode_lists_approvals_and_asks_an_account_to_decide(
    api: APIClient, service: Service
) -> None:
    approval = requested(api)

    assert api.get("/api/v1/approvals").json()["total"] == 1
    for verb in ("approve", "reject"):
        answer = post(api, f"approvals/{approval.pk}/{verb}", {"reason": "mine"})
        assert (answer.status_code, answer.json()["error"]) == (401, "Token required")
    assert Approval.objects.get().state == "pending"


def test_an_account_that_is_limited_to_services_decides_about_no_other(
    api: APIClient,
    service: Service,
    ci: Headers,
    bearer: Bearer,
) -> None:
    approval = requested(api, ci)
    limited = bearer("approvals:decide", account="limited")
    accounts.ensure_account("limited", scopes=[], services=["another"])

    assert api.get("/api/v1/approvals", headers=limited).json() == {
        "approvals": [],
        "next": None,
        "previous": None,
        "total": 0,
    }
    for verb in ("approve", "reject"):
        answer = post(api, f"approvals/{approval.pk}/{verb}", {"reason": "no"}, limited)
        assert answer.status_code == 404


def test_only_an_administrator_overrides_a_freeze_by_approving(
    api: APIClient,
    service: Service,
    ci: Headers,
    sam: Headers,
    bearer: Bearer,
) -> None:
    approval = requested(api, ci)
    today = dt.datetime.now(dt.UTC).date()
    Freeze.objects.create(name="now", starts_on=today, ends_on=today + dt.timedelta(days=2))
    path, body = f"approvals/{approval.pk}/approve", {"override_reason": "the shop is down"}

    assert post(api, path, {}, sam).json()["error"] == "Changes are frozen"
    assert post(api, path, body, sam).json()["error"] == "Override not allowed"
    assert Approval.objects.get().state == "pending"
    assert post(api, path, body, bearer("admin:registry", account="chief")).status_code == 200
    assert AuditEntry.objects.get(action="calendar.overridden").actor == "chief"


def test_lists_a_page_by_service_and_state(api: APIClient, sam: Headers) -> None:
    for name in ("a", "b"):
        release = factories.ReleaseFactory.create(
            service=factories.ServiceFactory.create(name=name), version="1.0.0"
        )
        for state in ("rejected", "pending"):
            Approval.objects.create(
                service=release.service,
                release=release,
                state=state,
                requested_at=factories.NOW,
            )

    def listed(query: str) -> tuple[list[tuple[str, str]], int]:
        body = api.get(f"/api/v1/approvals?{query}", headers=sam).json()
        return [(row["service_name"], row["state"]) for row in body["approvals"]], body["total"]

    assert listed("service=a&state=pending") == ([("a", "pending")], 1)
    assert listed("state=rejected&limit=1") == ([("b", "rejected")], 2)
    assert listed("limit=1&offset=3") == ([("a", "rejected")], 4)
    for query in ("state=gone", "limit=0", "limit=1001", "service=%00"):
        assert api.get(f"/api/v1/approvals?{query}", headers=sam).status_code == 400


@pytest.mark.parametrize("number", ["0", "none", "9" * 18, "9" * 19, "%C3%A9", "1%00", "-1"])
def test_an_unknown_approval_is_not_found(api: APIClient, sam: Headers, number: str) -> None:
    assert api.get(f"/api/v1/approvals/{number}", headers=sam).status_code == 404
    assert post(api, f"approvals/{number}/approve", {}, sam).status_code == 404
