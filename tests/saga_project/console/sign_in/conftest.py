from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client

from saga_project.console.sign_in import provider as console_provider
from saga_project.console.sign_in import views
from saga_project.shared import rate_limits
from tests import identity_provider
from tests.identity_provider import CLIENT, SECRET, Running

PASSWORD = "correct horse battery"
ComeIn = Callable[..., HttpResponse]


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Running]:
    with identity_provider.running() as running:
        yield running


@pytest.fixture
def provider(
    running_provider: Running, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    """The provider that the settings name, without faults and with one group for each role."""
    settings.SAGA_OIDC_ISSUER = running_provider.issuer
    settings.SAGA_OIDC_CLIENT_ID, settings.SAGA_OIDC_CLIENT_SECRET = CLIENT, SECRET
    settings.SAGA_OIDC_GROUPS = {
        "lookers": "viewers",
        "sre": "operators",
        "board": "approvers",
        "admins": "administrators",
    }
    running_provider.knows(ada={"groups": ["sre"], "email": "ada@example.com"})
    running_provider.errs()
    console_provider._configurations.clear()
    # All tests come from one address.
    monkeypatch.setattr(views, "_beginnings", rate_limits.Buckets(per_second=20, burst=40))
    yield running_provider
    running_provider.errs()
    console_provider._configurations.clear()


@pytest.fixture
def client() -> Client:
    return Client(SERVER_NAME="localhost")


@pytest.fixture
def come_in(provider: Running, client: Client) -> ComeIn:
    """Log in by the provider, as a browser does."""

    def come_in(name: str, *, onward: str = "", by: Client = client) -> HttpResponse:
        sent = by.get("/admin/login/provider/", {"next": onward})
        assert sent.status_code == 302, sent.content
        return by.get(provider.sends_back(sent["Location"], name))  # type: ignore[return-value]

    return come_in


@pytest.fixture
def otto(db: None, settings: Any) -> User:
    """An operator with a local password; hashing it costs nothing here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    person = User.objects.create_user("otto", password=PASSWORD, is_staff=True)
    person.groups.add(Group.objects.get(name="operators"))
    return person
