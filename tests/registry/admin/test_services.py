from __future__ import annotations

import pytest
from django.test import TestCase
from django.utils import timezone
from rest_framework.test import APIClient

from registry import operations
from registry.identity import accounts
from registry.models import Event, Service, Subscription
from tests.registry.admin.conftest import Login, offered_actions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

LIST = "/admin/registry/service/"


def register(name: str = "billing") -> Service:
    """A service of an account, live and waiting for approval."""
    account = accounts.ensure_account("ci", scopes=["registry:manage"])
    caller = accounts.Caller(account=account, scopes=frozenset(account.scopes))
    profile = operations.Profile(slug=name, name=name, version="1", base_url="http://10.0.0.1")
    with TestCase.captureOnCommitCallbacks(execute=True):
        return operations.register_profile(profile, by=caller, now=timezone.now())


def act(login: Login, group: str | None, action: str, service: Service, **fields: str) -> str:
    """Press the button, then confirm; return the text of the page that follows."""
    body = {"action": action, "_selected_action": [service.pk], **fields}
    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = login(group).post(LIST, {**body, "confirmed": "yes"}, follow=True)
    assert answer.status_code == 200
    service.refresh_from_db()
    return answer.content.decode()


def test_approves_a_service_that_lookups_then_find(login: Login, api: APIClient) -> None:
    service = register()
    assert api.get("/api/v1/services/billing").status_code == 404

    act(login, "approvers", "approve_services", service)

    assert service.status == "active"
    assert service.approved_by == "approvers"
    assert api.get("/api/v1/services/billing").status_code == 200
    assert Event.objects.filter(type="service.approved").count() == 1


def test_asks_before_it_acts(login: Login) -> None:
    service = register()

    answer = login("approvers").post(
        LIST, {"action": "approve_services", "_selected_action": [service.pk]}
    )

    assert answer.status_code == 200
    assert "Lookups will find" in answer.content.decode()
    service.refresh_from_db()
    assert service.status == "pending_approval"


def test_rejects_with_a_reason(login: Login) -> None:
    service = register()

    page = act(login, "approvers", "reject_services", service)
    assert "Say why" in page
    assert service.status == "pending_approval"

    act(login, "approvers", "reject_services", service, reason="not ours")
    assert service.status == "rejected"
    assert service.status_reason == "not ours"


def test_says_why_a_move_is_not_legal(login: Login) -> None:
    service = register()
    act(login, "approvers", "approve_services", service)

    page = act(login, "approvers", "approve_services", service)

    assert "cannot become" in page
    assert Event.objects.filter(type="service.approved").count() == 1


def test_deregisters_a_service_of_any_account(login: Login, api: APIClient) -> None:
    service = register()
    act(login, "approvers", "approve_services", service)

    act(login, "operators", "deregister_services", service, reason="retired")

    assert service.status == "deregistered"
    assert service.status_reason == "retired"
    assert api.get("/api/v1/services/billing").status_code == 404


def test_deregisters_nothing_that_others_subscribe_to(login: Login) -> None:
    service = register()
    Subscription.objects.create(service=service, subscriber="mail", is_accepted=True)

    page = act(login, "operators", "deregister_services", service)

    assert "1 active subscription" in page
    assert service.status == "pending_approval"


BUTTONS = {
    "viewers": set(),
    "operators": {"deregister_services"},
    "approvers": {"approve_services", "reject_services", "deregister_services"},
    "administrators": {"approve_services", "reject_services", "deregister_services"},
}
ALL_BUTTONS = BUTTONS["administrators"]


@pytest.mark.parametrize("group", BUTTONS)
def test_offers_only_what_a_role_may_do(login: Login, group: str) -> None:
    register()

    page = login(group).get(LIST)

    assert page.status_code == 200
    assert offered_actions(page.content.decode()) & ALL_BUTTONS == BUTTONS[group]


@pytest.mark.parametrize(
    ("group", "button"),
    [(group, button) for group in BUTTONS for button in sorted(ALL_BUTTONS - BUTTONS[group])],
)
def test_refuses_a_button_that_was_pressed_all_the_same(
    login: Login, group: str, button: str
) -> None:
    service = register()

    act(login, group, button, service, reason="because")

    assert service.status == "pending_approval"


def test_shows_presence_as_it_is(login: Login) -> None:
    service = register()

    shown = login().get(LIST).content.decode()
    with TestCase.captureOnCommitCallbacks(execute=True):
        operations.deregister("billing", by=accounts.staff("root"), now=timezone.now())
    gone = login().get(LIST).content.decode()

    assert service.name in shown
    assert "1 live" in shown
    assert "none live" in gone
