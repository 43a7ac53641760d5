"""Logging in by a provider, with a security key, against real processes of both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import identity_provider, webserver
from tests.browser import chromium
from tests.identity_provider import CLIENT, SECRET, Running
from tests.webserver import WebServer

GROUPS = {"sre": "operators"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with identity_provider.running() as running:
        running.knows(grace={"groups": ["sre"]}, mallory={"groups": []})
        yield running


@pytest.fixture(scope="module")
def company(
    provider: Running, django_db_setup: None, django_db_blocker: Any
) -> Iterator[WebServer]:
    """A web process that the provider's people log in to, with a second factor."""
    with (
        django_db_blocker.unblock(),
        webserver.serving(
            SAGA_OIDC_ISSUER=provider.issuer,
            SAGA_OIDC_CLIENT_ID=CLIENT,
            SAGA_OIDC_CLIENT_SECRET=SECRET,
            SAGA_OIDC_GROUPS=json.dumps(GROUPS),
            SAGA_OIDC_NAME="the company",
            SAGA_LOCAL_LOGIN="false",
            SAGA_REQUIRE_SECOND_FACTOR="operators",
        ) as running,
    ):
        yield running


def plug_in_key(page: Page) -> None:
    """Give the browser a security key that is touched whenever it is asked."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    key = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": key})


def continue_as(page: Page, name: str) -> None:
    page.get_by_role("link", name="Log in with the company").click()
    page.get_by_role("link", name=f"Continue as {name}").click()


def test_a_person_of_the_company_comes_in_with_a_security_key(
    browser: Browser, people: object, company: WebServer, provider: Running
) -> None:
    """On localhost, which is where browsers allow security keys without TLS."""
    context = browser.new_context(
        base_url=f"http://localhost:{company.port}", viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints = chromium.complaints_of(page)
    plug_in_key(page)

    page.goto("/admin/login/?next=/admin/tokens/")
    expect(page.get_by_label("Password")).to_have_count(0)
    continue_as(page, "grace")
    expect(page.get_by_text("Your role needs a second factor")).to_be_visible()
    page.get_by_role("link", name="Add a key").click()
    page.locator("#mfa_webauthn_add").click()
    expect(page.get_by_text("They are shown this once")).to_be_visible()

    page.goto("/admin/tokens/")
    page.locator(".sg-user summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in with the company")).to_be_visible()
    assert provider.ended() == ["sub-of-grace"]

    continue_as(page, "grace")
    page.locator("#mfa_webauthn_authenticate").click()
    page.wait_for_url(re.compile(r"/admin/$"))
    assert complaints == []
    context.close()


def test_a_person_without_a_group_reads_why_it_is_refused(
    browser: Browser, people: object, company: WebServer
) -> None:
    context = browser.new_context(base_url=f"http://localhost:{company.port}")
    page = context.new_page()
    page.set_default_timeout(60_000)

    page.goto("/admin/")
    continue_as(page, "mallory")

    expect(page.get_by_role("heading", name="You have no access")).to_be_visible()
    context.close()
