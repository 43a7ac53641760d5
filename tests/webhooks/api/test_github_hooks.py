"""Webhooks at GitHub are set over HTTP; their token is never shown."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from registry.identity import accounts
from saga_project.shared import crypto
from tests import factories
from updates.models import AuditEntry
from webhooks.models import GitHubHook

pytestmark = pytest.mark.django_db
HOOKS = "/api/v1/github-hooks"
SECRET = "ghp_canary"


@pytest.fixture
def headers() -> dict[str, str]:
    account = accounts.ensure_account("root", scopes=["admin:registry"])
    _, text = accounts.issue_token(account, scopes=["admin:registry"])
    return {"Authorization": f"Bearer {text}"}


def test_a_hook_is_made_changed_and_deleted(api: APIClient, headers: dict[str, str]) -> None:
    body = {"repository": "example/pay", "hook_id": 7, "token": SECRET}

    made = api.post(HOOKS, body, format="json", headers=headers)
    address = f"{HOOKS}/{made.json()['id']}"
    twice = api.post(HOOKS, body, format="json", headers=headers)
    kept = api.patch(address, {"is_enabled": False}, format="json", headers=headers)
    row = GitHubHook.objects.get()
    emptied = api.patch(address, {"token": ""}, format="json", headers=headers)
    deleted = api.delete(address, headers=headers)

    assert (made.status_code, twice.status_code, deleted.status_code) == (201, 409, 204)
    assert crypto.decrypt(row.sealed_token) == SECRET
    assert (kept.json()["has_token"], emptied.json()["has_token"]) == (True, False)
    reported = [entry.action for entry in AuditEntry.objects.order_by("sequence")]
    assert reported == [
        f"github_hook.{verb}" for verb in ("added", "changed", "changed", "deleted")
    ]
    shown = [str(entry.data) for entry in AuditEntry.objects.all()]
    assert not [text for text in [*shown, made.content.decode()] if SECRET in text]


@pytest.mark.parametrize(
    "body",
    [
        {"repository": "no-slash", "hook_id": 7},
        {"repository": "a/b", "hook_id": 0},
        {"repository": "a/b", "hook_id": 7, "api_url": "ftp://x"},
        {"repository": "a/b", "hook_id": 7, "error": "x"},
    ],
)
def test_what_is_no_hook_is_refused(
    api: APIClient, headers: dict[str, str], body: dict[str, object]
) -> None:
    assert api.post(HOOKS, body, format="json", headers=headers).status_code == 400
    assert not GitHubHook.objects.exists()


def test_a_change_of_the_api_takes_no_stored_token_along(
    api: APIClient, headers: dict[str, str]
) -> None:
    row = GitHubHook.objects.create(repository="a/b", hook_id=1)

    answer = api.patch(
        f"{HOOKS}/{row.pk}", {"api_url": "https://evil.example"}, format="json", headers=headers
    )

    assert answer.status_code == 400


def test_an_account_of_one_service_sets_none(api: APIClient) -> None:
    account = accounts.ensure_account("team", scopes=["webhooks:manage"])
    _, text = accounts.issue_token(account, scopes=["webhooks:manage"])
    factories.ServiceFactory.create(name="shop", account=account)

    answer = api.post(
        HOOKS,
        {"repository": "a/b", "hook_id": 7},
        format="json",
        headers={"Authorization": f"Bearer {text}"},
    )

    assert answer.status_code == 403
