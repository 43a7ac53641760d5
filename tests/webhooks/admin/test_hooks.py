"""GitHub hooks: the token is written and never shown."""

from __future__ import annotations

import pytest

from saga_project.shared import crypto
from tests.registry.admin.conftest import Login, login, roles  # noqa: F401  (fixtures)
from webhooks.models import GitHubHook

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

SECRET = "canary-token-of-a-webhook"
HOOKS = "/admin/webhooks/githubhook/"
FIELDS = {
    "repository": "example/payment",
    "hook_id": "7",
    "api_url": "https://api.github.com",
    "is_enabled": "on",
}


def test_a_token_is_written_and_never_shown(login: Login) -> None:  # noqa: F811
    client = login()
    client.post(f"{HOOKS}add/", {**FIELDS, "token": SECRET})

    hook = GitHubHook.objects.get()
    page = client.get(f"{HOOKS}{hook.pk}/change/").content.decode()
    assert crypto.decrypt(hook.sealed_token) == SECRET
    assert SECRET not in page


def test_an_empty_token_keeps_the_one_there_is(login: Login) -> None:  # noqa: F811
    hook = GitHubHook.objects.create(
        repository="a/b", hook_id=1, sealed_token=crypto.encrypt(SECRET)
    )

    login().post(f"{HOOKS}{hook.pk}/change/", {**FIELDS, "token": ""})

    hook.refresh_from_db()
    assert (hook.repository, crypto.decrypt(hook.sealed_token)) == ("example/payment", SECRET)


@pytest.mark.parametrize(
    ("field", "value"), [("repository", "../../admin"), ("api_url", "file:///etc/passwd")]
)
def test_refuses_what_leads_elsewhere(login: Login, field: str, value: str) -> None:  # noqa: F811
    response = login().post(f"{HOOKS}add/", {**FIELDS, field: value})

    assert response.status_code == 200
    assert not GitHubHook.objects.exists()


def test_viewers_see_hooks_and_do_not_change_them(login: Login) -> None:  # noqa: F811
    client = login("viewers")

    assert client.get(f"{HOOKS}add/").status_code == 403
