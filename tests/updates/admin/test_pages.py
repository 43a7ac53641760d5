"""Updates in the admin: every page opens, people change what is theirs, and it goes on record."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from saga_project.shared import crypto
from tests import factories
from tests.updates.admin.conftest import Login
from updates import operations
from updates.models import (
    Approval,
    AuditEntry,
    Credential,
    Freeze,
    HistoryEntry,
    Hold,
    Job,
    MaintenanceWindow,
    Policy,
    Release,
    Source,
    Target,
)

pytestmark = pytest.mark.django_db

MODELS = (
    "release",
    "policy",
    "hold",
    "source",
    "credential",
    "maintenancewindow",
    "freeze",
    "approval",
    "historyentry",
    "auditentry",
)


def _fill() -> Release:
    release = factories.ReleaseFactory.create(
        service__name="payment-service", service__version="1.0.0"
    )
    service = release.service
    factories.PolicyFactory.create(service=service, kind="approve")
    factories.SourceFactory.create(service=service, kind="pypi", location="acme-payment")
    factories.HistoryEntryFactory.create(service_name="gateway", status="failed")
    Credential.objects.create(host="packages.example", sealed_secret=crypto.encrypt("s3cret"))
    Hold.objects.create(service=service, version="1.2.0", created_by="sam")
    MaintenanceWindow.objects.create(
        name="nightly", opens_at=dt.time(22), duration_minutes=60, is_enabled=False
    )
    Freeze.objects.create(
        name="stocktaking", starts_on=dt.date(2026, 1, 1), ends_on=dt.date(2026, 1, 9)
    )
    operations.apply_policy(service, now=timezone.now())
    operations.deploy(
        factories.ServiceFactory.create(name="gateway"),
        operations.Announcement(version="1.0", artifact_url="https://ci.example/gateway"),
        by="sam",
    )
    return release


def _act(client: Client, model: str, action: str, row: Any, **body: str) -> None:
    given = {"action": action, "_selected_action": [row.pk], "confirmed": "yes", **body}
    client.post(f"/admin/updates/{model}/", given)


def changes() -> QuerySet[AuditEntry]:
    """Return the entries beside those of the login."""
    return AuditEntry.objects.exclude(action__startswith="login.")


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_rows_open(login: Login, model: str) -> None:
    _fill()
    [known] = [
        each for each in admin.site._registry if each._meta.label_lower == f"updates.{model}"
    ]
    row = known._default_manager.order_by("pk").first()
    assert row is not None

    for path in ("", f"{row.pk}/change/"):
        assert login().get(f"/admin/updates/{model}/{path}").status_code == 200


# --- Policies -------------------------------------------------------------------------------------

POLICY = {
    "kind": "auto",
    "strategy": "rolling",
    "strategy_options": "{}",
    "minimum_age_seconds": "0",
    "version_range": "",
    "required_approvals": "1",
}


def _add_policy(client: Client, **fields: Any) -> int:
    service = factories.ServiceFactory.create()
    body = {"service": service.pk, **POLICY, **fields}
    return client.post("/admin/updates/policy/add/", body).status_code


def test_administrators_set_policies_and_it_goes_on_record(login: Login) -> None:
    assert _add_policy(login("administrators"), version_range=">=1,<2") == 302

    assert Policy.objects.get().version_range == ">=1,<2"
    entry = changes().get()
    assert (entry.action, entry.actor) == ("policy.added", "administrators")


@pytest.mark.parametrize(
    "wrong",
    [
        {"version_range": ">=nonsense"},
        {"strategy_options": '{"speed": "fast"}'},
        {"strategy_options": "[]7"},
        {"strategy_options": "[7]"},
        {"minimum_age_seconds": "-1"},
        {"kind": "yolo"},
    ],
)
def test_a_policy_that_means_nothing_is_refused(login: Login, wrong: dict[str, str]) -> None:
    assert _add_policy(login("administrators"), **wrong) == 200

    assert not Policy.objects.exists()
    assert not changes().exists()


def test_operators_see_policies_and_change_none(login: Login) -> None:
    policy = factories.PolicyFactory.create()

    assert login("operators").get(f"/admin/updates/policy/{policy.pk}/change/").status_code == 200
    assert _add_policy(login("operators")) == 403


def test_a_policys_page_says_what_would_happen_now(login: Login) -> None:
    release = factories.ReleaseFactory.create(service__version="1.0.0")
    policy = factories.PolicyFactory.create(service=release.service, kind="auto")

    page = login().get(f"/admin/updates/policy/{policy.pk}/change/").content.decode()

    assert "deploy: 1.3.0 is the newest eligible release." in page


# --- Calendar and holds ---------------------------------------------------------------------------


def test_a_window_is_made_with_its_days(login: Login) -> None:
    body = {
        "name": "weekend",
        "weekdays": ["5", "6"],
        "opens_at": "22:00",
        "duration_minutes": "90",
        "time_zone": "Europe/Amsterdam",
        "is_enabled": "on",
    }

    login().post("/admin/updates/maintenancewindow/add/", body)

    assert MaintenanceWindow.objects.get().weekdays == [5, 6]
    assert changes().get().action == "window.added"


@pytest.mark.parametrize(
    "wrong", [{"time_zone": "Mars/Olympus"}, {"ends_on": "2026-01-01"}, {"starts_on": "soon"}]
)
def test_a_freeze_that_means_nothing_is_refused(login: Login, wrong: dict[str, str]) -> None:
    body = {
        "name": "stocktaking",
        "starts_on": "2026-01-02",
        "starts_at": "00:00",
        "ends_on": "2026-01-09",
        "ends_at": "00:00",
        "time_zone": "Europe/Amsterdam",
        **wrong,
    }

    assert login().post("/admin/updates/freeze/add/", body).status_code == 200
    assert not Freeze.objects.exists()


def test_a_freeze_that_is_deleted_leaves_its_trace(login: Login) -> None:
    freeze = Freeze.objects.create(
        name="stocktaking", starts_on=dt.date(2026, 1, 1), ends_on=dt.date(2026, 1, 9)
    )

    login().post(f"/admin/updates/freeze/{freeze.pk}/delete/", {"post": "yes"})

    assert not Freeze.objects.exists()
    assert changes().get().action == "freeze.deleted"


def test_hold_records_its_author(login: Login) -> None:
    service = factories.ServiceFactory.create()

    login("operators").post(
        "/admin/updates/hold/add/", {"service": service.pk, "version": "1.3.0", "reason": "slow"}
    )

    assert Hold.objects.get().created_by == "operators"


# --- Sources --------------------------------------------------------------------------------------

SOURCE = {
    "kind": "github",
    "location": "acme/payment",
    "options": "{}",
    "interval_seconds": "3600",
    "is_enabled": "on",
}


def _add_source(client: Client, **fields: Any) -> int:
    service = factories.ServiceFactory.create()
    body = {"service": service.pk, **SOURCE, **fields}
    return client.post("/admin/updates/source/add/", body).status_code


def test_a_sources_token_is_sealed_and_never_shown(login: Login) -> None:
    assert _add_source(login(), token="ghp_secret") == 302
    source = Source.objects.get()

    page = login().get(f"/admin/updates/source/{source.pk}/change/").content.decode()

    assert crypto.decrypt(source.sealed_token) == "ghp_secret"
    assert "ghp_secret" not in page
    assert source.sealed_token not in page


def test_a_token_is_kept_until_it_is_forgotten(login: Login) -> None:
    _add_source(login(), token="ghp_secret")
    source = Source.objects.get()
    path, body = (
        f"/admin/updates/source/{source.pk}/change/",
        {"service": source.service_id, **SOURCE},
    )

    login().post(path, body)
    source.refresh_from_db()
    kept = source.sealed_token
    login().post(path, {**body, "forgets_token": "on"})
    source.refresh_from_db()

    assert crypto.decrypt(kept) == "ghp_secret"
    assert source.sealed_token == ""


def test_the_console_and_the_api_record_a_source_alike(login: Login, api: APIClient) -> None:
    body = {**SOURCE, "options": {}, "is_enabled": True, "interval_seconds": 3600}
    api.post("/api/v1/sources", {"service_name": "payment", **body}, format="json")
    path = f"/api/v1/sources/{Source.objects.get().pk}"
    api.patch(path, {"location": "acme/other"}, format="json")
    api.delete(path)
    client = login()
    _add_source(client)
    row = f"/admin/updates/source/{Source.objects.get().pk}"
    client.post(f"{row}/change/", {**SOURCE, "location": "acme/other"})
    client.post(f"{row}/delete/", {"post": "yes"})

    entries = AuditEntry.objects.filter(action__startswith="source.").order_by("sequence")

    shown = ("fields", "before", "after")
    reported = [(entry.action, [entry.data.get(name) for name in shown]) for entry in entries]
    assert len(reported) == 6
    assert reported[:3] == reported[3:]


@pytest.mark.parametrize(
    "wrong",
    [
        {"location": ""},
        {"kind": "json", "location": "not a url"},
        {"base_url": "ftp://mirror.example"},
        {"options": "[]7"},
        {"options": "[7]"},
        {"interval_seconds": "5"},
    ],
)
def test_a_source_that_cannot_be_asked_is_refused(login: Login, wrong: dict[str, str]) -> None:
    assert _add_source(login(), **wrong) == 200

    assert not Source.objects.exists()


# --- Releases, approvals, history -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "action", "body", "state"),
    [
        ("approvers", "quarantine_releases", {"reason": "it leaks"}, "quarantined"),
        ("approvers", "withdraw_releases", {"reason": "wrong key"}, "withdrawn"),
        ("approvers", "quarantine_releases", {"reason": ""}, "available"),
        ("viewers", "quarantine_releases", {"reason": "it leaks"}, "available"),
    ],
)
def test_release_moves_need_the_permission_and_a_reason(
    login: Login, group: str, action: str, body: dict[str, str], state: str
) -> None:
    release = factories.ReleaseFactory.create()

    _act(login(group), "release", action, release, **body)

    release.refresh_from_db()
    assert release.state == state


def test_operators_deploy_a_release(login: Login) -> None:
    release = factories.ReleaseFactory.create()

    _act(login("viewers"), "release", "deploy_releases", release)
    assert not Job.objects.exists()

    _act(login("operators"), "release", "deploy_releases", release)
    assert Job.objects.get().requested_by == "operators"


def test_calendar_override_needs_the_permission_and_a_reason(login: Login) -> None:
    release = factories.ReleaseFactory.create()
    today = dt.datetime.now(dt.UTC).date()
    Freeze.objects.create(name="now", starts_on=today, ends_on=today + dt.timedelta(days=2))
    action = "deploy_releases_anyway"

    _act(login("approvers"), "release", "deploy_releases", release)
    _act(login("operators"), "release", action, release, reason="fire")
    _act(login("approvers"), "release", action, release, reason="")
    assert not Job.objects.exists()

    _act(login("approvers"), "release", action, release, reason="fire")
    assert Job.objects.get().version == release.version
    assert changes().get(action="calendar.overridden").data["reason"] == "fire"


def test_approvers_decide(login: Login) -> None:
    _fill()
    approval = Approval.objects.get()

    _act(login("operators"), "approval", "approve_updates", approval)
    approval.refresh_from_db()
    assert approval.state == "pending"

    _act(login("approvers"), "approval", "approve_updates", approval)
    approval.refresh_from_db()
    assert (approval.state, approval.decided_by) == ("approved", "approvers")


def test_history_is_corrected_by_a_row_of_its_own(login: Login) -> None:
    entry = factories.HistoryEntryFactory.create(status="failed")
    action = "correct_to_success"

    _act(login("approvers"), "historyentry", action, entry, reason="the probe lied")
    assert HistoryEntry.objects.count() == 1

    _act(login("administrators"), "historyentry", action, entry, reason="the probe lied")
    standing = HistoryEntry.objects.all().standing().get()
    assert (standing.status, standing.detail) == ("success", "the probe lied")
    assert standing.corrects == entry

    _act(login("administrators"), "historyentry", action, entry, reason="again")
    assert HistoryEntry.objects.count() == 2


@pytest.mark.parametrize("model", ["historyentry", "auditentry", "release", "approval"])
def test_history_cannot_be_edited(login: Login, model: str) -> None:
    _fill()
    [known] = [
        each for each in admin.site._registry if each._meta.label_lower == f"updates.{model}"
    ]
    row = known._default_manager.order_by("pk").first()
    assert row is not None

    before = known._default_manager.filter(pk=row.pk).values().get()

    page = f"/admin/updates/{model}/{row.pk}"
    assert login().get(f"/admin/updates/{model}/add/").status_code == 403
    assert login().post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    login().post(f"{page}/change/", {"status": "success", "state": "approved", "actor": "eve"})

    assert known._default_manager.filter(pk=row.pk).values().get() == before


def test_a_removed_target_is_said_to_run_on(login: Login) -> None:
    service = factories.ServiceFactory.create(name="shop")
    web = Target.objects.create(service=service, name="web", current_version="1.0.0")
    idle = Target.objects.create(service=service, name="idle")
    client = login()

    pages = [
        client.post(f"/admin/updates/target/{target.pk}/delete/", {"post": "yes"}, follow=True)
        for target in (web, idle)
    ]

    assert not Target.objects.exists()
    assert "1.0.0 may still run on web (node local)" in pages[0].content.decode()
    assert "may still run" not in pages[1].content.decode()
