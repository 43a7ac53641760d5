"""Freezes and windows that select services by label: which apply, and that no service leaves them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from rest_framework.test import APIClient

from registry.models import Service, ServiceAccount
from tests import factories
from tests.api_clients import Bearer, Headers
from updates.models import AuditEntry, Freeze, MaintenanceWindow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

FREEZE = {"name": "year end", "starts_on": "2020-01-01", "ends_on": "2999-01-01"}
WINDOW = {"opens_at": "00:00", "duration_minutes": 1, "weekdays": [0]}


@pytest.fixture
def chief(bearer: Bearer) -> Headers:
    return bearer("admin:registry", account="chief")


@pytest.fixture
def own(bearer: Bearer) -> dict[str, str]:
    """The token of the account that owns the service ``pay``; it may do all but administrate."""
    headers = bearer("labels:write", "calendar:write", "updates:read", account="pay-team")
    account = ServiceAccount.objects.get(name="pay-team")
    factories.ServiceFactory.create(name="pay", account=account, labels={"env": "prod"})
    return headers


def _plan(api: APIClient, name: str, headers: dict[str, str]) -> Any:
    return api.get("/api/v1/updates/plan", {"service": name}, headers=headers).json()


def _post(api: APIClient, plural: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    return api.post(f"/api/v1/{plural}", body, format="json", headers=headers)


def _put_labels(api: APIClient, labels: dict[str, str], headers: dict[str, str]) -> Any:
    path = "/api/v1/services/pay/labels"
    return api.put(path, {"labels": labels}, format="json", headers=headers)


def test_a_freeze_holds_for_the_services_that_it_selects(
    api: APIClient, chief: dict[str, str], own: dict[str, str]
) -> None:
    factories.ServiceFactory.create(name="mail", labels={"env": "test"})
    made = _post(api, "freezes", {**FREEZE, "selector": "env=prod"}, chief)
    body = {"service_name": "pay", "version": "1", "artifact_url": "http://a.example/1"}

    refused = _post(api, "webhooks/deploy", body, chief)
    allowed = _post(api, "webhooks/deploy", {**body, "service_name": "mail"}, chief)

    assert made.status_code == 201, made.content
    assert made.json()["selector"] == "env=prod"
    assert (refused.status_code, refused.json()["error"]) == (409, "Changes are frozen")
    assert allowed.status_code == 202
    assert _plan(api, "pay", own)["freezes"] == [
        {
            "id": made.json()["id"],
            "name": "year end",
            "origin": "selector",
            "selector": "env=prod",
        }
    ]
    assert _plan(api, "mail", own)["freezes"] == []


def test_own_windows_come_before_those_by_label_and_these_before_global_ones(
    api: APIClient, chief: dict[str, str], own: dict[str, str]
) -> None:
    for extra in ({}, {"selector": "env=prod"}, {"service_name": "pay"}):
        made = _post(api, "windows", {"name": str(extra), **WINDOW, **extra}, chief)
        assert made.status_code == 201, made.content

    def origins() -> list[str]:
        return [row["origin"] for row in _plan(api, "pay", own)["windows"]]

    with_own = origins()
    MaintenanceWindow.objects.filter(service__name="pay").delete()
    by_label = origins()
    MaintenanceWindow.objects.exclude(selector="").delete()

    assert (with_own, by_label, origins()) == (["own"], ["selector"], ["global"])


@pytest.mark.parametrize("plural", ["freezes", "windows"])
@pytest.mark.parametrize(
    "selector", ["", " ", "env in (prod)", "=prod", "env=prod,", "a" * 1025, 7, ["env"]]
)
def test_a_malformed_selector_is_refused(
    api: APIClient, chief: dict[str, str], plural: str, selector: Any
) -> None:
    body = {**FREEZE} if plural == "freezes" else {"name": "nights", **WINDOW}

    answer = _post(api, plural, {**body, "selector": selector}, chief)

    assert answer.status_code == 400
    assert "selector" in answer.content.decode()
    assert not Freeze.objects.exists()
    assert not MaintenanceWindow.objects.exists()


def test_a_row_of_one_service_takes_no_selector(
    api: APIClient, chief: dict[str, str], own: dict[str, str]
) -> None:
    both = {**FREEZE, "service_name": "pay", "selector": "env=prod"}

    answer = _post(api, "freezes", both, chief)

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid value")
    assert "selector" in answer.json()["message"]


def test_only_administrators_make_and_change_rows_with_selectors(
    api: APIClient, chief: dict[str, str], own: dict[str, str]
) -> None:
    body = {**FREEZE, "selector": "env=prod"}
    key = _post(api, "freezes", body, chief).json()["id"]
    free = _post(api, "freezes", FREEZE, {}).json()["id"]  # anonymous, in open mode

    refused = [
        _post(api, "freezes", body, own),
        _post(api, "freezes", body, {}),
        api.delete(f"/api/v1/freezes/{key}", headers=own),
        api.delete(f"/api/v1/freezes/{key}"),
        api.patch(f"/api/v1/freezes/{key}", {"selector": None}, format="json"),
        api.patch(f"/api/v1/freezes/{free}", {"selector": "env=prod"}, format="json"),
    ]

    assert [answer.status_code for answer in refused] == [403] * 6
    assert set(Freeze.objects.values_list("pk", "selector")) == {(key, "env=prod"), (free, "")}


@pytest.mark.parametrize("selector", ["env=prod", "env!=test", "env", "!free,env"])
@pytest.mark.parametrize("plural", ["freezes", "windows"])
def test_no_service_leaves_a_row_by_its_labels(
    api: APIClient, chief: dict[str, str], own: dict[str, str], selector: str, plural: str
) -> None:
    body = FREEZE if plural == "freezes" else {"name": "mondays", **WINDOW}
    made = _post(api, plural, {**body, "selector": selector}, chief)

    answers = [
        _put_labels(api, {}, own),
        _put_labels(api, {"env": "test"}, own),
        _put_labels(api, {}, {}),
    ]
    other = _put_labels(api, {"env": "prod", "tier": "1"}, own)

    assert made.status_code == 201
    assert [answer.status_code for answer in answers] == [403] * 3
    assert answers[0].json()["error"] == "Label selects rules"
    assert other.status_code == 200
    assert Service.objects.get(name="pay").labels == {"env": "prod", "tier": "1"}


def test_no_service_leaves_a_row_by_registering_again(
    bearer: Bearer,
    api: APIClient,
    chief: dict[str, str],
    own: dict[str, str],
) -> None:
    _post(api, "freezes", {**FREEZE, "selector": "env=prod"}, chief)
    own = bearer("registry:manage", "updates:read", "services:read", account="pay-team")
    body = {"service_name": "pay", "service_url": "http://127.0.0.1:9/pay"}

    _post(api, "services/register", body, own)
    left = api.delete("/api/v1/services/pay", headers=own)
    again = _post(api, "services/register", {**body, "labels": {"env": "test"}}, own)

    assert (left.status_code, again.status_code) == (200, 200)
    assert [row["name"] for row in _plan(api, "pay", own)["freezes"]] == ["year end"]


def test_an_administrator_changes_a_label_that_a_freeze_selects(
    api: APIClient, chief: dict[str, str], own: dict[str, str]
) -> None:
    _post(api, "freezes", {**FREEZE, "selector": "env=prod"}, chief)

    assert _put_labels(api, {"env": "test"}, chief).status_code == 200
    assert _plan(api, "pay", own)["freezes"] == []


def test_a_changed_selector_is_recorded_with_before_and_after(
    api: APIClient, chief: dict[str, str]
) -> None:
    key = _post(api, "freezes", {**FREEZE, "selector": "env=prod"}, chief).json()["id"]

    changed = api.patch(
        f"/api/v1/freezes/{key}", {"selector": "env=prod,!free"}, format="json", headers=chief
    )
    cleared = api.patch(f"/api/v1/freezes/{key}", {"selector": None}, format="json", headers=chief)

    assert (changed.json()["selector"], cleared.json()["selector"]) == ("env=prod,!free", None)
    entry = AuditEntry.objects.filter(action="freeze.changed").order_by("sequence")[0]
    assert entry.data["before"] == {"selector": "env=prod"}
    assert entry.data["after"] == {"selector": "env=prod,!free"}


def test_the_service_page_says_what_applies_and_why(
    api: APIClient, chief: dict[str, str], own: dict[str, str], admin_client: Client
) -> None:
    _post(api, "freezes", {**FREEZE, "selector": "env=prod"}, chief)
    _post(api, "windows", {"name": "mondays", **WINDOW}, chief)

    page = admin_client.get("/admin/services/pay/").content.decode()

    assert "year end, by its labels (env=prod)" in page
    assert "mondays, of every service" in page


def test_the_console_takes_a_selector_and_refuses_a_wrong_one(admin_client: Client) -> None:
    form = {
        "name": "year end",
        "selector": "env in (prod)",
        "starts_on": "2030-01-01",
        "starts_at": "00:00",
        "ends_on": "2030-02-01",
        "ends_at": "00:00",
        "time_zone": "UTC",
    }
    refused = admin_client.post("/admin/updates/freeze/add/", form)
    admin_client.post("/admin/updates/freeze/add/", {**form, "selector": "env=prod"})
    listed = admin_client.get("/admin/updates/freeze/").content.decode()

    assert "A selector is a list such as" in refused.content.decode()
    assert Freeze.objects.get().selector == "env=prod"
    assert "labels env=prod" in listed


@pytest.mark.parametrize(("role", "expected"), [("operators", "prod"), ("administrators", "test")])
def test_administrators_change_a_selected_label_in_the_console(
    api: APIClient,
    chief: dict[str, str],
    own: dict[str, str],
    client: Client,
    role: str,
    expected: str,
) -> None:
    _post(api, "freezes", {**FREEZE, "selector": "env=prod"}, chief)
    person = User.objects.create_user("kim", is_staff=True)
    person.groups.add(Group.objects.get_or_create(name=role)[0])
    person.user_permissions.add(*Permission.objects.filter(content_type__app_label="registry"))
    client.force_login(person)

    client.post("/admin/services/pay/do/labels/", {"labels": "env=test"})

    assert Service.objects.get(name="pay").labels == {"env": expected}
