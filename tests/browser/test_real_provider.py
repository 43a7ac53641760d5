"""The console with oidc-provider, which Saga's own tests did not write: login, roles, and both ways out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, Page, expect

from saga_project.local.embedded import processes
from tests import waiting, webserver
from tests.browser import chromium, real_provider
from tests.webserver import WebServer
from updates.models import AuditEntry

CLIENT, SECRET = "saga-console", "a secret of 32 characters, or so"
PEOPLE = {"grace": {"groups": ["sre", "pizza"]}, "mallory": {"groups": ["pizza"]}}
PAGE = "/admin/tokens/"


@pytest.fixture(scope="module")
def issuer(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[str, WebServer]]:
    """The provider's address, and a web process whose people it knows; both call each other."""
    real_provider.installed()
    place = f"http://127.0.0.1:{processes.any_free_port()}"
    with (
        django_db_blocker.unblock(),
        webserver.serving(
            SAGA_OIDC_ISSUER=place,
            SAGA_OIDC_CLIENT_ID=CLIENT,
            SAGA_OIDC_CLIENT_SECRET=SECRET,
            SAGA_OIDC_GROUPS=json.dumps({"sre": "operators", "admins": "administrators"}),
            SAGA_LOCAL_LOGIN="false",
        ) as server,
        real_provider.running(
            place,
            saga=f"http://localhost:{server.port}",
            client=CLIENT,
            secret=SECRET,
            people=PEOPLE,
        ),
    ):
        yield place, server


@pytest.fixture
def context(browser: Browser, issuer: tuple[str, WebServer]) -> Iterator[BrowserContext]:
    """A browser without cookies that calls Saga and the provider by different names."""
    context = browser.new_context(base_url=f"http://localhost:{issuer[1].port}")
    context.set_default_timeout(60_000)
    yield context
    context.close()


def log_in(page: Page, name: str) -> None:
    """Log in on the provider's pages, which ask for a password and for consent."""
    page.goto(f"/admin/login/?next={PAGE}")
    page.get_by_role("link", name="single sign-on").click()
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_login_roles_and_both_ways_out(
    context: BrowserContext, people: object, issuer: tuple[str, WebServer]
) -> None:
    page = context.new_page()
    complaints = chromium.complaints_of(page)
    log_in(page, "grace")
    page.wait_for_url(re.compile(f"{PAGE}$"))
    grace = User.objects.get(username="grace")
    assert set(grace.groups.values_list("name", flat=True)) == {"operators"}
    assert not grace.is_superuser

    # Out of Saga, and from there out of the provider, which asks for the password again.
    page.locator(".sg-user summary").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_role("link", name="single sign-on")).to_be_visible()
    log_in(page, "grace")
    page.wait_for_url(re.compile(f"{PAGE}$"))
    assert [text for text in complaints if issuer[0] not in text] == []

    # Out of the provider, which notifies Saga by the back channel.
    elsewhere = context.new_page()
    elsewhere.goto(f"{issuer[0]}/session/end")
    elsewhere.get_by_role("button", name="Yes, sign me out").click()
    revoked = AuditEntry.objects.filter(action="login.revoked", actor="grace")
    waiting.until(revoked.exists)
    page.goto(PAGE)
    expect(page.get_by_role("link", name="single sign-on")).to_be_visible()


def test_a_person_without_a_mapped_group_is_refused(
    context: BrowserContext, people: object
) -> None:
    page = context.new_page()

    log_in(page, "mallory")

    expect(page.get_by_role("heading", name="You have no access")).to_be_visible()
    assert not User.objects.filter(username="mallory").exists()
