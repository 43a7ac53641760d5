"""Policies by label: which one applies, and that all that ask find the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from registry.models import Service, ServiceAccount
from tests import factories
from tests.api_clients import Bearer, Headers
from updates.models import Approval, AuditEntry, Policy, SelectorPolicy, Target, policy_of
from updates.operations import policies

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

PATH = "/api/v1/selector-policies"


@pytest.fixture
def chief(bearer: Bearer) -> Headers:
    return bearer("admin:registry", account="chief")


@pytest.fixture
def shop() -> Service:
    return factories.ServiceFactory.create(
        name="shop", version="1.0.0", labels={"env": "prod", "team": "pay"}
    )


def _by_label(name: str, selector: str, **values: Any) -> SelectorPolicy:
    return SelectorPolicy.objects.create(name=name, selector=selector, **values)


def _applies(service: Service) -> str:
    return str(policy_of(service))


def test_a_policy_of_its_own_comes_before_those_by_label(shop: Service) -> None:
    _by_label("prod", "env=prod", kind="auto", priority=100)
    before = _applies(shop)
    factories.PolicyFactory.create(service=shop, kind="pinned")

    assert (before, _applies(shop)) == ("prod", "shop: pinned")


def test_priority_then_conditions_then_age_decide(shop: Service) -> None:
    found = []
    for name, selector, priority in (
        ("first", "env=prod", 0),
        ("same", "team=pay", 0),
        ("closer", "env=prod,team=pay", 0),
        ("higher", "env", 1),
        ("other", "env=test,team=pay", 9),
    ):
        _by_label(name, selector, priority=priority)
        found.append(_applies(shop))

    assert found == ["first", "first", "closer", "higher", "higher"]


def test_a_service_that_none_selects_has_the_defaults(shop: Service) -> None:
    _by_label("test", "env=test", kind="auto")

    policy = policy_of(shop)

    assert policy.pk is None
    assert policy.kind == "manual"


def test_a_policy_by_label_acts_in_the_sweep_unless_the_service_has_its_own(
    shop: Service,
) -> None:
    own = factories.ServiceFactory.create(name="own", version="1.0.0", labels={"env": "prod"})
    factories.PolicyFactory.create(service=own, kind="manual")
    for service in (shop, own):
        factories.ReleaseFactory.create(service=service, version="1.1.0")
    _by_label("prod", "env=prod", kind="approve", required_approvals=2)

    policies.apply_policies(now=timezone.now())

    approval = Approval.objects.get()
    assert (approval.service.name, approval.required_approvals) == ("shop", 2)


def test_its_proofs_are_demanded_of_deployments(api: APIClient, shop: Service) -> None:
    _by_label("prod", "env=prod", requires_checksum=True, requires_signature=True)
    body = {"service_name": "shop", "version": "2.0.0", "artifact_url": "http://a.example/2"}

    answer = api.post("/api/v1/webhooks/deploy", body, format="json")

    assert (answer.status_code, answer.json()["error"]) == (409, "Checksum missing")
    assert Target(service=shop, name="a").needs_signature


def test_the_plan_and_the_page_say_which_policy_applies_and_why(
    api: APIClient, shop: Service, admin_client: Client
) -> None:
    _by_label("prod", "env=prod", kind="auto")

    plan = api.get("/api/v1/updates/plan", {"service": "shop"}).json()
    page = admin_client.get("/admin/services/shop/").content.decode()

    named = {name: plan[name] for name in ("policy_origin", "policy_name", "policy_selector")}
    assert plan["policy"] == "auto"
    assert named == {
        "policy_origin": "selector",
        "policy_name": "prod",
        "policy_selector": "env=prod",
    }
    assert "prod, by its labels (env=prod)" in page


def test_one_is_made_changed_and_deleted_by_administrators_only(
    bearer: Bearer,
    api: APIClient,
    chief: dict[str, str],
) -> None:
    writer = bearer("policies:write", "updates:read", account="ci")
    body = {"name": "prod", "selector": "env=prod", "kind": "approve"}

    made = api.post(PATH, body, format="json", headers=chief)
    refused = [
        api.post(PATH, {**body, "name": "other"}, format="json", headers=writer),
        api.post(PATH, {**body, "name": "other"}, format="json"),  # in open mode
        api.patch(f"{PATH}/prod", {"kind": "auto"}, format="json", headers=writer),
        api.delete(f"{PATH}/prod"),
    ]
    again = api.post(PATH, body, format="json", headers=chief)
    changed = api.patch(f"{PATH}/prod", {"priority": 3}, format="json", headers=chief)

    assert made.status_code == 201, made.content
    assert [answer.status_code for answer in refused] == [403] * 4
    assert (again.status_code, changed.json()["priority"]) == (409, 3)
    entry = AuditEntry.objects.get(action="selector_policy.changed")
    assert (entry.data["before"], entry.data["after"]) == ({"priority": 0}, {"priority": 3})
    assert api.delete(f"{PATH}/prod", headers=chief).status_code == 204
    assert not SelectorPolicy.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"selector": ""},
        {"selector": None},
        {"selector": "env in (a)"},
        {"name": "a b"},
        {"version_range": "><"},
        {"priority": 40_000},
    ],
)
def test_what_is_malformed_is_refused(
    api: APIClient, chief: dict[str, str], changes: dict[str, Any]
) -> None:
    body = {"name": "prod", "selector": "env=prod", **changes}

    answer = api.post(PATH, body, format="json", headers=chief)

    assert answer.status_code == 400
    assert next(iter(changes)) in answer.json()["message"]
    assert not SelectorPolicy.objects.exists()


def test_no_service_leaves_a_policy_by_its_labels(
    bearer: Bearer,
    api: APIClient,
    shop: Service,
) -> None:
    owner = bearer("labels:write", "registry:manage", account="pay-team")
    Service.objects.update(account=ServiceAccount.objects.get(name="pay-team"))
    _by_label("prod", "env=prod", requires_signature=True)

    answer = api.put(
        "/api/v1/services/shop/labels",
        {"labels": {"team": "pay"}},
        format="json",
        headers=owner,
    )

    assert (answer.status_code, answer.json()["error"]) == (403, "Label selects rules")
    assert _applies(Service.objects.get()) == "prod"


def test_the_console_makes_one_and_says_what_it_selects(
    shop: Service, admin_client: Client
) -> None:
    form = {
        "name": "prod",
        "selector": "env=prod",
        "priority": "0",
        "kind": "auto",
        "minimum_age_seconds": "0",
        "strategy": "rolling",
        "strategy_options": "{}",
        "metrics": "[]",
        "required_approvals": "1",
        "signing_keys": "",
    }
    refused = admin_client.post(
        "/admin/updates/selectorpolicy/add/", {**form, "selector": "env in (a)"}
    )
    admin_client.post("/admin/updates/selectorpolicy/add/", form)
    made = SelectorPolicy.objects.get()
    page = admin_client.get(f"/admin/updates/selectorpolicy/{made.pk}/change/").content.decode()

    assert "A selector is a list such as" in refused.content.decode()
    assert "1, of which 0 have a policy of their own" in page
    assert not Policy.objects.exists()
