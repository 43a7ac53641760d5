"""Accounts that are limited to services by label: one function decides, on every way."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from registry import errors
from registry.identity import accounts, grants
from registry.models import Service, ServiceAccount
from tests import factories
from tests.api_clients import CommittingClient
from updates.models import Approval, AuditEntry
from webhooks.errors import ApproverRefused
from webhooks.operations import approvers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

SCOPES = ("registry:manage", "labels:write", "services:read", "approvals:decide", "updates:read")
NEGATED = ("env!=prod", "!legacy", "team=pay,env!=prod", "team,!legacy")


@pytest.fixture
def api() -> APIClient:
    return CommittingClient(SERVER_NAME="localhost")


@pytest.fixture
def chief() -> dict[str, str]:
    return _bearer(accounts.ensure_account("chief", scopes=["admin:registry"]), "admin:registry")


@pytest.fixture
def team() -> dict[str, str]:
    """The token of an account for ``legacy`` and for services of the team ``pay``."""
    account = accounts.ensure_account("pay-team", scopes=SCOPES, services=["legacy"])
    ServiceAccount.objects.filter(pk=account.pk).update(selector="team=pay")
    factories.ServiceFactory.create(name="pay", labels={"team": "pay"})
    factories.ServiceFactory.create(name="mail", labels={"team": "mail"})
    factories.ServiceFactory.create(name="legacy")
    return _bearer(account, *SCOPES)


def _bearer(account: ServiceAccount, *scopes: str) -> dict[str, str]:
    _, text = accounts.issue_token(account, scopes=scopes)
    return {"Authorization": f"Bearer {text}"}


def _register(api: APIClient, name: str, headers: dict[str, str]) -> Any:
    body = {"service_name": name, "service_url": f"http://127.0.0.1:9/{name}"}
    return api.post("/api/v1/services/register", body, format="json", headers=headers)


def _label(api: APIClient, name: str, labels: dict[str, str], headers: dict[str, str]) -> Any:
    path = f"/api/v1/services/{name}/labels"
    return api.put(path, {"labels": labels}, format="json", headers=headers)


def test_an_account_may_change_what_it_names_and_what_its_selector_selects(
    api: APIClient, team: dict[str, str]
) -> None:
    answers = {name: _register(api, name, team) for name in ("pay", "legacy", "mail", "new")}
    heartbeats = {
        name: api.post(f"/api/v1/services/{name}/heartbeat", headers=team)
        for name in ("pay", "mail")
    }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "pay": 200,
        "legacy": 200,
        "mail": 403,
        "new": 403,
    }
    assert answers["new"].json()["error"] == "Service not granted to the account"
    assert (heartbeats["pay"].status_code, heartbeats["mail"].status_code) == (200, 403)
    assert not Service.objects.filter(name="new").exists()


def test_a_selected_service_of_another_account_stays_its_owners(
    api: APIClient, team: dict[str, str]
) -> None:
    other = ServiceAccount.objects.create(name="other")
    Service.objects.filter(name="pay").update(account=other)

    assert _register(api, "pay", team).json()["error"] == "Service belongs to another account"


def test_an_account_without_both_is_not_limited(api: APIClient) -> None:
    account = accounts.ensure_account("free", scopes=SCOPES)

    assert _register(api, "new", _bearer(account, *SCOPES)).status_code == 200


@pytest.mark.parametrize("labels", [{"team": "pay"}, {"team": "mail"}, {"env": "prod"}, {}])
def test_no_account_changes_the_label_that_selects_for_it(
    api: APIClient, team: dict[str, str], labels: dict[str, str]
) -> None:
    before = Service.objects.get(name="legacy").labels

    answer = _label(api, "legacy", {**labels, "team": labels.get("team", "x")}, team)

    assert (answer.status_code, answer.json()["error"]) == (403, "Label selects rules")
    assert Service.objects.get(name="legacy").labels == before
    assert _label(api, "pay", {}, team).status_code == 403
    assert _label(api, "pay", {}, {}).status_code == 403  # anonymous, in open mode
    assert _label(api, "pay", {"team": "pay", "tier": "1"}, team).status_code == 200


def test_an_administrator_moves_a_service_out_of_reach(
    api: APIClient, chief: dict[str, str], team: dict[str, str]
) -> None:
    first = _register(api, "pay", team)
    moved = _label(api, "pay", {"team": "mail"}, chief)
    second = api.post("/api/v1/services/pay/heartbeat", headers=team)

    assert (first.status_code, moved.status_code, second.status_code) == (200, 200, 403)


@pytest.mark.parametrize("selector", ["", "env in (a)", "=x", *NEGATED])
def test_a_selector_that_is_none_or_holds_without_a_label_is_refused(
    api: APIClient, chief: dict[str, str], selector: str, admin_client: Client
) -> None:
    body = {"name": "ci", "scopes": [], "selector": selector}
    form = {"name": "ci", "selector": selector or "=", "services": ""}
    tokens = {"token_set-TOTAL_FORMS": "0", "token_set-INITIAL_FORMS": "0"}
    prefixed = {key.replace("token_set", "tokens"): value for key, value in tokens.items()}

    made = api.post("/api/v1/accounts", body, format="json", headers=chief)
    declared = api.post(
        "/api/v1/apply",
        {"accounts": [{"name": "chief", "scopes": ["admin:registry"]}, body]},
        format="json",
        headers=chief,
    )
    page = admin_client.post("/admin/registry/serviceaccount/add/", {**form, **prefixed})
    with pytest.raises(CommandError):
        call_command("create_token", "ci", "--scopes", "services:read", "--selector", selector)

    assert (made.status_code, declared.status_code, page.status_code) == (400, 400, 200)
    assert "selector" in made.json()["message"]
    assert not ServiceAccount.objects.filter(name="ci").exists()


def test_a_selector_is_set_over_http_shown_to_its_account_and_recorded(
    api: APIClient, chief: dict[str, str]
) -> None:
    body = {"name": "ci", "scopes": ["services:read"]}
    api.post("/api/v1/accounts", body, format="json", headers=chief)

    changed = api.patch(
        "/api/v1/accounts/ci", {"selector": "env=test"}, format="json", headers=chief
    )
    me = api.get(
        "/api/v1/me",
        headers=_bearer(ServiceAccount.objects.get(name="ci"), "services:read"),
    )

    assert changed.json()["selector"] == "env=test"
    assert me.json()["selector"] == "env=test"
    entry = AuditEntry.objects.get(action="account.changed")
    assert (entry.data["before"], entry.data["after"]) == (
        {"selector": ""},
        {"selector": "env=test"},
    )


def test_the_command_gives_an_account_a_selector() -> None:
    call_command("create_token", "ci", "--scopes", "services:read", "--selector", "env=test")

    assert ServiceAccount.objects.get(name="ci").selector == "env=test"


def test_approvals_are_listed_and_decided_by_the_same_rule(
    api: APIClient, team: dict[str, str]
) -> None:
    waiting = {
        name: Approval.objects.create(
            service=Service.objects.get(name=name),
            release=factories.ReleaseFactory.create(service=Service.objects.get(name=name)),
            requested_at=timezone.now(),
        )
        for name in ("pay", "mail", "legacy")
    }

    listed = api.get("/api/v1/approvals", headers=team).json()["approvals"]
    refused = api.post(f"/api/v1/approvals/{waiting['mail'].pk}/approve", headers=team)

    assert {row["service_name"] for row in listed} == {"pay", "legacy"}
    assert refused.status_code == 404
    assert approvers.check("pay-team", service=waiting["pay"].service) is not None
    with pytest.raises(ApproverRefused):
        approvers.check("pay-team", service=waiting["mail"].service)


def test_the_labels_of_the_replica_decide_as_the_stored_ones_do(team: dict[str, str]) -> None:
    account = ServiceAccount.objects.get(name="pay-team")
    caller = accounts.Caller(account=account, scopes=frozenset())

    accounts.check_may_change(caller, "pay", owner_id=None)
    accounts.check_may_change(caller, "elsewhere", owner_id=None, labels={"team": "pay"})
    for name, labels in (("mail", None), ("pay", {}), ("new", None)):
        with pytest.raises(errors.ServiceNotGranted):
            accounts.check_may_change(caller, name, owner_id=None, labels=labels)


def test_a_stored_selector_that_is_broken_grants_nothing() -> None:
    account = ServiceAccount(name="ci", selector="env in (a)")
    factories.ServiceFactory.create(name="shop", labels={"env": "a"})

    assert grants.is_limited(account)
    assert not grants.is_granted(account, "shop", service_labels={"env": "a"})
    assert not Service.objects.filter(grants.granted(account)).exists()
