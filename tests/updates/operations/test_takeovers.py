"""What an account gets with a service that had no owner, and what others left there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from rest_framework.test import APIClient

from registry.models import Event, HealthCheck, Service
from saga_project.shared import locks
from tests import factories, waiting
from tests.api_clients import Bearer, Headers
from tests.registry.api.conftest import api  # noqa: F401  (fixture)
from tests.updates.api.test_nodes import is_a_lock_awaited, joined, post
from updates.history import audit
from updates.models import (
    Approval,
    AuditEntry,
    Credential,
    Freeze,
    Hold,
    Job,
    MaintenanceWindow,
    Node,
    Policy,
    Release,
    Source,
    Target,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

NAME = "shop"
ROWS: dict[str, dict[str, Any]] = {
    "checks": {"name": "health", "url": "http://stranger.example/health"},
    "targets": {"name": "web"},
    "policies": {"kind": "auto"},
    "sources": {"kind": "announced"},
    "credentials": {"host": "packages.example", "secret": "s3cret"},
    "skips": {"version": "0.1"},
    "windows": {"name": "night", "opens_at": "22:00", "duration_minutes": 60},
    "freezes": {"name": "end of year", "starts_on": "2030-12-20", "ends_on": "2031-01-02"},
}
MODELS = (HealthCheck, Target, Policy, Source, Credential, Hold, MaintenanceWindow, Freeze)
KINDS = {"check", "target", "policy", "source", "credential", "hold", "window", "freeze"}
SCOPES = (
    "checks:write",
    "targets:write",
    "policies:write",
    "sources:write",
    "calendar:write",
    "updates:deploy",
)


def _set_up(api: APIClient, headers: Headers) -> None:  # noqa: F811
    for plural, values in ROWS.items():
        body = {"service_name": NAME, **values}
        answer = api.post(f"/api/v1/{plural}", body, format="json", headers=headers)
        assert answer.status_code == 201, answer.content


def _announce(api: APIClient, route: str, headers: Headers, **more: Any) -> Any:  # noqa: F811
    body = {
        "service_name": NAME,
        "version": "1.0.0",
        "artifact_url": "https://ci.example/1.tgz",
        **more,
    }
    return api.post(f"/api/v1/webhooks/{route}", body, format="json", headers=headers)


def _take_over(api: APIClient, headers: Headers) -> dict[str, Any]:  # noqa: F811
    body = {"service_name": NAME, "service_url": "http://localhost:8001"}
    answer = api.post("/api/v1/services/register", body, format="json", headers=headers)
    assert answer.status_code == 200
    data: dict[str, Any] = Event.objects.get(type="service.handed_over").data
    return data


@pytest.fixture
def owner(bearer: Bearer) -> Headers:
    return bearer("registry:manage", *SCOPES, account="owner")


@pytest.fixture
def stranger(bearer: Bearer) -> Headers:
    return bearer(*SCOPES, account="stranger")


def test_everything_that_strangers_set_up_is_dropped(
    api: APIClient,  # noqa: F811
    owner: Headers,
    stranger: Headers,
) -> None:
    service = factories.ServiceFactory.create(name=NAME)
    _set_up(api, stranger)
    _announce(api, "update", stranger, version="2.0.0")
    factories.ApprovalFactory.create(release=Release.objects.get())

    data = _take_over(api, owner)

    assert not any(model.objects.filter(service=service).exists() for model in MODELS)
    assert not Release.objects.exists()
    assert set(data["dropped"]) == KINDS | {"release", "approval"}
    assert (data["account"], data["handed_over"]) == ("owner", {})
    deleted = AuditEntry.objects.filter(action__endswith=".deleted", actor="owner")
    assert deleted.count() == len(KINDS)


def test_what_the_account_itself_set_up_is_handed_over(
    api: APIClient,  # noqa: F811
    owner: Headers,
) -> None:
    service = factories.ServiceFactory.create(name=NAME)
    _set_up(api, owner)
    _announce(api, "update", owner)

    data = _take_over(api, owner)

    assert all(model.objects.filter(service=service).exists() for model in MODELS)
    assert (set(data["handed_over"]), data["dropped"]) == (KINDS | {"release"}, {})


def test_a_row_of_the_account_that_a_stranger_changed_is_dropped(
    api: APIClient,  # noqa: F811
    owner: Headers,
    stranger: Headers,
) -> None:
    factories.ServiceFactory.create(name=NAME)
    _set_up(api, owner)
    change = {"hooks": {"stop": {"url": "http://evil.example/"}}}
    path = f"/api/v1/targets/{Target.objects.get().pk}"
    assert api.patch(path, change, format="json", headers=stranger).status_code == 200

    data = _take_over(api, owner)

    assert not Target.objects.exists()
    assert data["dropped"] == {"target": ["shop/web"]}


@pytest.mark.parametrize("has_namesake", [False, True])
def test_what_staff_set_up_is_handed_over_unless_an_account_has_the_name(
    api: APIClient,  # noqa: F811
    bearer: Bearer,
    owner: Headers,
    has_namesake: bool,
) -> None:
    get_user_model().objects.create_user("sam", is_staff=True)
    service = factories.ServiceFactory.create(name=NAME)
    target = Target.objects.create(service=service, name="web")
    audit.record(
        "target.added", actor="sam", service_name=NAME, data={"id": target.pk}, at=factories.NOW
    )
    if has_namesake:
        bearer("targets:write", account="sam")

    _take_over(api, owner)

    assert Target.objects.exists() is not has_namesake


def test_a_strangers_deployment_is_cancelled_and_its_release_withdrawn(
    api: APIClient,  # noqa: F811
    owner: Headers,
    stranger: Headers,
) -> None:
    factories.ServiceFactory.create(name=NAME)
    assert _announce(api, "deploy", stranger).status_code == 202

    data = _take_over(api, owner)

    job = Job.objects.get()
    assert (job.status, job.error) == (
        "cancelled",
        "An account took the service over; others set this up.",
    )
    assert not job.steps.filter(status="pending").exists()
    assert Release.objects.get().state == Release.State.WITHDRAWN
    assert data["dropped"] == {"job": [job.job_id], "release": ["1.0.0"]}
    assert _announce(api, "deploy", stranger).status_code == 403


def test_a_deployment_of_the_account_goes_on(api: APIClient, owner: Headers) -> None:  # noqa: F811
    factories.ServiceFactory.create(name=NAME)
    _announce(api, "deploy", owner)

    data = _take_over(api, owner)

    assert Job.objects.get().status == "queued"
    assert Release.objects.get().state == Release.State.AVAILABLE
    assert (set(data["handed_over"]), data["dropped"]) == ({"job", "release"}, {})


def test_an_approval_that_strangers_got_deploys_nothing_later(
    api: APIClient,  # noqa: F811
    owner: Headers,
) -> None:
    service: Service = factories.ServiceFactory.create(name=NAME)
    release = factories.ReleaseFactory.create(service=service)
    approved = factories.ApprovalFactory.create(release=release, state=Approval.State.APPROVED)
    factories.JobFactory.create(service=service, release=release, status="succeeded")

    _take_over(api, owner)

    approved.refresh_from_db()
    assert approved.state == Approval.State.SUPERSEDED


@pytest.mark.parametrize("locked", ["policy", "node"])
@pytest.mark.django_db(transaction=True)
def test_a_takeover_waits_for_rows_without_the_lock_of_the_audit_trail(
    api: APIClient,  # noqa: F811
    bearer: Bearer,
    owner: Headers,
    stranger: Headers,
    locked: str,
) -> None:
    """What changes such a row has locked it, and waits for the audit trail next."""
    factories.ServiceFactory.create(name=NAME)
    _set_up(api, stranger)
    nodes = bearer("nodes:write", account="nodes")
    joined(api, nodes)
    post(api, "/nodes/web1/services", nodes, services=[NAME])
    rows: Any = {"policy": Policy, "node": Node}[locked]._default_manager

    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            rows.select_for_update().get()
            taken = pool.submit(_take_over_apart, owner)
            waiting.until(is_a_lock_awaited)
            is_free = locks.try_acquire(locks.Lock.AUDIT_CHAIN)
        data = taken.result(timeout=60)

    assert is_free
    assert data["dropped"]["node"] == ["web1"]


def _take_over_apart(headers: Headers) -> dict[str, Any]:
    """Take it over in a thread, on a connection of its own."""
    try:
        return _take_over(APIClient(SERVER_NAME="localhost"), headers)
    finally:
        connection.close()
