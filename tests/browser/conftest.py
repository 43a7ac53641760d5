"""A browser, a real server process over the test's database, and logged-in staff."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_httpserver import HTTPServer

from tests import webserver
from tests.browser import chromium, stage
from tests.webserver import WebServer

SESSION = settings.SESSION_COOKIE_NAME
LogIn = Callable[[str], Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if chromium.path() is None:
        pytest.skip(chromium.WORD)
    # Playwright runs a loop in this thread, and Django would take every query for one inside of it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="package")
def server(django_db_setup: None, django_db_blocker: Any) -> Iterator[WebServer]:
    with django_db_blocker.unblock(), webserver.serving() as running:
        yield running


@pytest.fixture
def people(transactional_db: None, redis: Any, server: WebServer) -> dict[str, User]:
    return stage.people()


@pytest.fixture
def artifacts(httpserver: HTTPServer, settings: Any, tmp_path: Any) -> stage.Artifacts:
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "artifacts"
    settings.SAGA_BACKUPS_DIR = tmp_path / "backups"
    settings.SAGA_INSTALL_ROOT = tmp_path / "services"
    return stage.Artifacts(httpserver)


def _session_of(person: User) -> str:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[SESSION].value


@pytest.fixture
def log_in(browser: Browser, server: WebServer, people: dict[str, User]) -> Iterator[LogIn]:
    """Open the dashboard for a user in a window of its own; no window may report an error.

    They bring a session along: how one gets it is a story of its own.
    """
    contexts, complaints = [], []

    def log_in(name: str) -> Page:
        context = browser.new_context(base_url=server.url, viewport={"width": 1280, "height": 900})
        contexts.append(context)
        value = _session_of(people[name])
        context.add_cookies([{"name": SESSION, "value": value, "url": server.url}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        complaints.append(chromium.complaints_of(page))
        page.goto("/admin/")
        return page

    yield log_in
    for context in contexts:
        context.close()
    assert [text for found in complaints for text in found] == []
