"""Accounts and tokens over HTTP: an administrator's accounts, and tokens that never exceed their issuer's."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import ServiceAccount, Token
from updates.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def bearer(name: str, *scopes: str) -> dict[str, str]:
    account = accounts.ensure_account(name, scopes=scopes)
    _, text = accounts.issue_token(account, scopes=scopes)
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def chief() -> dict[str, str]:
    return bearer("chief", "admin:registry")


def test_an_account_and_its_token_are_made_used_and_ended(
    api: APIClient, chief: dict[str, str]
) -> None:
    body = {"name": "ci", "scopes": ["services:read"], "services": ["shop"]}
    made = api.post("/api/v1/accounts", body, format="json", headers=chief)
    wanted = {"account": "ci", "name": "build", "scopes": ["services:read"]}
    issued = api.post("/api/v1/tokens", wanted, format="json", headers=chief).json()
    own = {"Authorization": f"Bearer {issued['token']}"}
    before = api.get("/api/v1/me", headers=own)
    path = f"/api/v1/tokens/{issued['id']}"
    shown = api.get(path, headers=chief).json()
    ended = api.delete(path, headers=chief)
    after = api.get("/api/v1/me", headers=own)

    assert (made.status_code, made.json()["services"]) == (201, ["shop"])
    assert before.json()["name"] == "ci"
    assert before.json()["scopes"] == ["services:read"]
    assert before.json()["token"]["name"] == "build"
    assert "token" not in shown
    assert shown["state"] == "active"
    assert shown["last_used_at"] is not None
    assert (ended.status_code, after.status_code) == (204, 401)
    states = api.get("/api/v1/tokens?account=ci&state=revoked", headers=chief).json()["tokens"]
    assert [row["id"] for row in states] == [issued["id"]]
    entries = AuditEntry.objects.order_by("sequence")
    assert [entry.action for entry in entries] == ["account.added", "token.issued", "token.revoked"]
    assert {entry.actor for entry in entries} == {"chief"}
    assert issued["token"] not in str([entry.data for entry in entries])


def test_an_account_is_changed_with_before_and_after_and_never_deleted(
    api: APIClient, chief: dict[str, str]
) -> None:
    own = bearer("ci", "services:read")
    read = api.get("/api/v1/accounts/ci", headers=chief)
    first, second = (
        api.patch(
            "/api/v1/accounts/ci",
            {"is_active": False},
            format="json",
            headers={**chief, "If-Match": read["ETag"]},
        )
        for _ in range(2)
    )

    assert (first.status_code, second.status_code) == (200, 412)
    assert api.get("/api/v1/me", headers=own).status_code == 401
    assert api.delete("/api/v1/accounts/ci", headers=chief).status_code == 405
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.data["before"]) == ("account.changed", {"is_active": True})
    inactive = api.get("/api/v1/accounts?is_active=false", headers=chief).json()["accounts"]
    assert [row["name"] for row in inactive] == ["ci"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scopes": ["tokens:write"]}, 201),
        ({"scopes": ["updates:deploy"]}, 403),  # its account has it, its token does not
        ({"scopes": ["admin:registry"]}, 403),
        ({"scopes": ["tokens:write"], "account": "other"}, 403),
        ({"scopes": ["root"]}, 400),
        ({"scopes": []}, 400),
        ({"scopes": ["tokens:write"], "account": "nobody"}, 400),
        ({"scopes": ["tokens:write"], "expires_at": "2020-01-01T00:00:00Z"}, 400),
    ],
)
def test_no_token_exceeds_the_one_that_issues_it(
    api: APIClient, body: dict[str, Any], status: int
) -> None:
    own = bearer("ci", "tokens:write")
    accounts.ensure_account("ci", scopes=["updates:deploy"])
    accounts.ensure_account("other", scopes=["tokens:write"])

    answer = api.post("/api/v1/tokens", body, format="json", headers=own)

    assert answer.status_code == status, answer.content
    assert Token.objects.count() == (2 if status == 201 else 1)


def test_an_account_with_an_unknown_scope_or_name_is_refused(
    api: APIClient, chief: dict[str, str]
) -> None:
    for body in ({"name": "oidc:x"}, {"name": "ci", "scopes": ["root"]}, {"name": "chief"}):
        answer = api.post("/api/v1/accounts", body, format="json", headers=chief)
        assert answer.status_code in (400, 409)

    assert [account.name for account in ServiceAccount.objects.all()] == ["chief"]
