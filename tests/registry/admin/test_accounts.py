from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from registry import errors
from registry.identity import accounts
from registry.models import ServiceAccount, Token
from tests.registry.admin.conftest import Login, offered_actions

pytestmark = pytest.mark.django_db

LIST = "/admin/registry/serviceaccount/"
TOKENS = "/admin/registry/token/"
NO_INLINES = {"tokens-TOTAL_FORMS": "0", "tokens-INITIAL_FORMS": "0"}


@pytest.fixture
def account(db: None) -> ServiceAccount:
    return accounts.ensure_account("ci", scopes=["services:read", "registry:manage"])


def issue(client: Client, account: ServiceAccount, **fields: Any) -> str:
    address = f"{LIST}{account.pk}/issue-token/"
    return client.post(address, {"scopes": ["services:read"], **fields}).content.decode()


def text_of(page: str) -> str | None:
    match = re.search(r"saga_[A-Za-z0-9_-]{43}", page)
    return match and match[0]


def test_makes_an_account(login: Login) -> None:
    body = {
        "name": "deployer",
        "description": "CI",
        "is_active": "on",
        "is_internal": "on",
        "scopes": ["updates:deploy"],
        "services": "billing\nmail",
        **NO_INLINES,
    }

    login("administrators").post(f"{LIST}add/", body)

    made = ServiceAccount.objects.get()
    assert made.name == "deployer"
    assert made.is_internal
    assert made.scopes == ["updates:deploy"]
    assert made.services == ["billing", "mail"]


@pytest.mark.parametrize(
    "change", [{"name": "two words"}, {"name": "oidc:x"}, {"scopes": ["root"]}, {"services": "a/b"}]
)
def test_makes_no_account_that_makes_no_sense(login: Login, change: dict[str, Any]) -> None:
    body = {"name": "deployer", "is_active": "on", **NO_INLINES, **change}

    answer = login("administrators").post(f"{LIST}add/", body)

    assert answer.status_code == 200
    assert not ServiceAccount.objects.exists()


def test_issues_a_token_and_shows_it_once(login: Login, account: ServiceAccount) -> None:
    client = login("administrators")

    text = text_of(issue(client, account, name="laptop", days="30"))

    assert text is not None
    caller = accounts.recognise(text, now=timezone.now())
    assert caller.account == account
    assert caller.scopes == {"services:read"}
    token = Token.objects.get()
    assert token.name == "laptop"
    assert token.expires_at is not None
    assert token.expires_at - timezone.now() <= dt.timedelta(days=30)
    for address in (f"{LIST}{account.pk}/change/", TOKENS, f"{TOKENS}{token.pk}/change/"):
        assert text not in client.get(address).content.decode()


def test_issues_no_token_with_a_scope_that_the_account_lacks(
    login: Login, account: ServiceAccount
) -> None:
    page = issue(login("administrators"), account, scopes=["admin:registry"])

    assert text_of(page) is None
    assert not Token.objects.exists()


def test_a_page_with_a_token_is_kept_by_no_cache(login: Login, account: ServiceAccount) -> None:
    answer = login("administrators").get(f"{LIST}{account.pk}/issue-token/")

    assert "no-store" in answer["Cache-Control"]


def test_revokes_a_token(login: Login, account: ServiceAccount) -> None:
    token, text = accounts.issue_token(account, scopes=["services:read"])
    body = {"action": "revoke_tokens", "_selected_action": [token.pk], "confirmed": "yes"}

    login("administrators").post(TOKENS, body)

    with pytest.raises(errors.TokenRefused):
        accounts.recognise(text, now=timezone.now())


@pytest.mark.parametrize("group", ["viewers", "operators", "approvers"])
def test_only_administrators_hand_out_and_revoke(
    login: Login, account: ServiceAccount, group: str
) -> None:
    client = login(group)
    token, _ = accounts.issue_token(account, scopes=["services:read"])
    body = {"action": "revoke_tokens", "_selected_action": [token.pk], "confirmed": "yes"}

    client.post(TOKENS, body)

    assert client.get(f"{LIST}{account.pk}/issue-token/").status_code == 403
    assert text_of(issue(client, account)) is None
    assert client.get(f"{LIST}add/").status_code == 403
    assert offered_actions(client.get(TOKENS).content.decode()) == set()
    token.refresh_from_db()
    assert token.revoked_at is None


def test_filters_tokens_by_standing(login: Login, account: ServiceAccount) -> None:
    now = timezone.now()
    made = {
        "active": accounts.issue_token(account, scopes=[])[0],
        "expired": accounts.issue_token(account, scopes=[], expires_at=now)[0],
        "revoked": accounts.issue_token(account, scopes=[])[0],
    }
    accounts.revoke_token(made["revoked"], at=now)
    client = login()

    for standing in made:
        page = client.get(TOKENS, {"standing": standing}).content.decode()
        shown = {name for name, token in made.items() if token.prefix in page}
        assert shown == {standing}
