"""Policies, skips, windows, freezes and targets over HTTP: one set of rules, entity tags, pages, audit."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.identity import accounts
from tests import factories
from updates.models import AuditEntry, Credential, Policy, Target
from updates.releases import credentials

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def headers() -> dict[str, str]:
    account = accounts.ensure_account("ci", scopes=["targets:write", "updates:read"])
    _, text = accounts.issue_token(account, scopes=["targets:write", "updates:read"])
    return {"Authorization": f"Bearer {text}"}


def _post(api: APIClient, plural: str, body: dict[str, Any], **more: Any) -> Any:
    return api.post(f"/api/v1/{plural}", body, format="json", **more)


def _patch(api: APIClient, path: str, body: dict[str, Any], **more: Any) -> Any:
    return api.patch(f"/api/v1/{path}", body, format="json", **more)


def test_a_stale_change_is_refused_and_changes_nothing(api: APIClient) -> None:
    factories.ServiceFactory.create(name="shop")
    first = _post(api, "policies", {"service_name": "shop", "kind": "auto"})
    read = api.get("/api/v1/policies/shop")
    etag = {"If-Match": read["ETag"]}

    fresh = _patch(api, "policies/shop", {"version_range": "<2"}, headers=etag)
    stale = _patch(api, "policies/shop", {"version_range": "<3"}, headers=etag)
    deleted = api.delete("/api/v1/policies/shop", headers=etag)

    assert (first.status_code, fresh.status_code) == (201, 200)
    assert (stale.status_code, deleted.status_code) == (412, 412)
    assert stale.json()["error"] == "Precondition failed"
    assert Policy.objects.get().version_range == "<2"
    known = api.get("/api/v1/policies/shop", headers={"If-None-Match": fresh["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_an_address_with_a_nul_is_not_found(api: APIClient) -> None:
    for method in ("get", "patch", "delete"):
        assert getattr(api, method)("/api/v1/policies/a%00b").status_code == 404


@pytest.mark.parametrize("version", ["a b", "../1", "-1"])
def test_a_text_is_held_to_its_rule(api: APIClient, version: str) -> None:
    factories.ServiceFactory.create(name="shop")

    answer = _post(api, "skips", {"service_name": "shop", "version": version})

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid version")


def test_a_second_policy_of_a_service_is_a_conflict(api: APIClient) -> None:
    factories.PolicyFactory.create(service__name="shop")

    again = _post(api, "policies", {"service_name": "shop"})

    assert (again.status_code, again.json()["error"]) == (409, "Already exists")


@pytest.mark.parametrize(
    ("plural", "body", "named"),
    [
        ("policies", {"version_range": "><"}, "version_range"),
        ("policies", {"version_scheme": "regex"}, "version_pattern"),
        ("policies", {"strategy_options": {"speed": 1}}, "strategy_options"),
        ("policies", {"knid": "auto"}, "knid"),
        ("policies", {"updated_at": "2026-01-01T00:00:00Z"}, "updated_at"),
        ("policies", {"minimum_age_seconds": "1"}, "minimum_age_seconds"),
        ("skips", {}, "expires_at"),
        ("windows", {"name": "n", "opens_at": "22:00", "duration_minutes": 0}, "duration_minutes"),
        (
            "windows",
            {"name": "n", "opens_at": "22:00", "duration_minutes": 9, "time_zone": "Mars"},
            "time_zone",
        ),
        ("freezes", {"name": "n", "starts_on": "2026-01-02", "ends_on": "2026-01-01"}, "ends_on"),
        ("targets", {"name": "n", "hooks": {"never": {}}}, "hooks"),
        ("targets", {"name": "n", "installer": "systemd"}, "installer_options"),
        ("targets", {"name": "n", "environment": {"SAGA_X": "1"}}, "environment"),
        ("targets", {"name": "n", "secret_environment": {"1": "1"}}, "secret_environment"),
    ],
)
def test_a_wrong_field_is_named(
    api: APIClient, headers: dict[str, str], plural: str, body: dict[str, Any], named: str
) -> None:
    factories.ServiceFactory.create(name="shop")
    more = {"headers": headers} if plural == "targets" else {}

    answer = _post(api, plural, {"service_name": "shop", **body}, **more)

    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{named}: ")
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("query", ["speed=1", "kind=fast", "limit=0", "cursor=x", "cursor=cD14"])
def test_a_list_refuses_what_it_cannot_read(api: APIClient, query: str) -> None:
    assert api.get(f"/api/v1/policies?{query}").status_code == 400


def test_pages_hold_each_row_once(api: APIClient) -> None:
    made = [factories.PolicyFactory.create().service.name for _ in range(5)]

    seen, address = [], "/api/v1/policies?limit=2"
    while address:
        page = api.get(address).json()
        seen += [row["service_name"] for row in page["policies"]]
        address = page["next"]

    assert seen == made
    assert api.get(f"/api/v1/policies?service={made[0]}").json()["policies"][0]["kind"] == "manual"


def test_secrets_of_a_target_are_write_only(api: APIClient, headers: dict[str, str]) -> None:
    factories.ServiceFactory.create(name="shop")
    body = {
        "service_name": "shop",
        "name": "first",
        "deployer_key": "deployer-secret",
        "secret_environment": {"PASSWORD": "hunter2"},
    }

    made = _post(api, "targets", body, headers=headers)
    changed = _patch(
        api, f"targets/{made.json()['id']}", {"deployer_key": None}, headers=headers
    ).json()

    assert (made.json()["has_deployer_key"], made.json()["secret_names"]) == (True, ["PASSWORD"])
    assert (changed["has_deployer_key"], changed["secret_names"]) == (False, ["PASSWORD"])
    assert Target.objects.get().deployer_secret == ""
    reported = str([made.json(), changed, *AuditEntry.objects.values_list("data", flat=True)])
    assert "deployer-secret" not in reported
    assert "hunter2" not in reported


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"instance_id": "../x"}, "Invalid instance id"),
        ({"instance_id": "--now"}, "Invalid instance id"),
        ({"node": "../../x"}, "Invalid value"),
        ({"zone": "a\r\nb"}, "Invalid value"),
        ({"instances": [{"id": "a", "node": "-x y"}]}, "Invalid value"),
    ],
)
def test_names_of_a_target_reach_no_path_and_no_command_line_unread(
    api: APIClient, headers: dict[str, str], values: dict[str, Any], error: str
) -> None:
    factories.ServiceFactory.create(name="shop")

    answer = _post(api, "targets", {"service_name": "shop", "name": "x", **values}, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert not Target.objects.exists()


def test_a_target_takes_a_token_in_open_mode_too(api: APIClient) -> None:
    factories.ServiceFactory.create(name="shop")

    answer = _post(api, "targets", {"service_name": "shop", "name": "first"})

    assert (answer.status_code, Target.objects.count()) == (401, 0)


def test_each_change_is_on_record_with_before_and_after(
    api: APIClient, headers: dict[str, str]
) -> None:
    factories.ServiceFactory.create(name="shop")
    made = _post(api, "targets", {"service_name": "shop", "name": "first"}, headers=headers)
    path = f"targets/{made.json()['id']}"

    _patch(api, path, {"zone": "a", "metric_maximum": 0.5}, headers=headers)
    _patch(api, path, {"zone": "a"}, headers=headers)
    api.delete(f"/api/v1/{path}", headers=headers)

    entries = list(AuditEntry.objects.order_by("sequence"))
    assert [entry.action for entry in entries] == [
        "target.added",
        "target.changed",
        "target.deleted",
    ]
    assert {(entry.actor, entry.service_name) for entry in entries} == {("ci", "shop")}
    assert entries[1].data["before"] == {"zone": "", "metric_maximum": None}
    assert entries[1].data["after"] == {"zone": "a", "metric_maximum": "0.5"}
    assert entries[2].data["before"]["zone"] == "a"


def test_a_repeated_key_makes_one_row(api: APIClient) -> None:
    factories.ServiceFactory.create(name="shop")
    body = {"service_name": "shop", "version": "1.0"}

    answers = [_post(api, "skips", body, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


CREDENTIAL = {"service_name": "shop", "host": "packages.example", "secret": "s3cret"}


def test_a_credential_never_shows_its_secret_and_keeps_its_host(
    api: APIClient, headers: dict[str, str]
) -> None:
    shop = factories.ServiceFactory.create(name="shop")
    made = _post(api, "credentials", CREDENTIAL, headers=headers)
    path = f"credentials/{made.json()['id']}"

    moved = _patch(api, path, {"host": "evil.example"}, headers=headers)
    changed = _patch(api, path, {"kind": "basic", "username": "ci"}, headers=headers)
    renewed = _patch(api, path, {"secret": "n3w"}, headers=headers)

    assert (made.status_code, moved.status_code) == (201, 400)
    assert (changed.status_code, renewed.status_code) == (200, 200)
    shown = api.get(f"/api/v1/{path}", headers=headers).content.decode()
    assert "s3cret" not in shown
    assert "secret" not in shown
    url = "https://packages.example/shop.tar.gz"
    sent = credentials.headers_for(url, service=shop)["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"ci:n3w"
    assert "n3w" not in str(list(AuditEntry.objects.values_list("data", flat=True)))


@pytest.mark.parametrize(
    "body",
    [
        {"host": "https://packages.example/"},
        {"secret": ""},
        {"kind": "basic"},
        {"kind": "header", "header_name": "Host"},
    ],
)
def test_a_credential_that_could_not_be_sent_is_refused(
    api: APIClient, headers: dict[str, str], body: dict[str, Any]
) -> None:
    factories.ServiceFactory.create(name="shop")

    answer = _post(api, "credentials", {**CREDENTIAL, **body}, headers=headers)

    assert answer.status_code == 400, answer.content
    assert not Credential.objects.exists()


def test_a_credential_of_all_services_takes_an_administrator(
    api: APIClient, headers: dict[str, str]
) -> None:
    answer = _post(api, "credentials", {**CREDENTIAL, "service_name": None}, headers=headers)

    assert answer.status_code == 403


def test_a_policy_demands_checksums_over_http(api: APIClient) -> None:
    factories.PolicyFactory.create(service__name="shop")

    answer = _patch(api, "policies/shop", {"requires_checksum": True})

    assert (answer.status_code, answer.json()["requires_checksum"]) == (200, True)
    assert Policy.objects.get().requires_checksum is True
