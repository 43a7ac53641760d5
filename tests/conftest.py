"""Fixtures for all tests; those of one app stand beside its tests."""

from __future__ import annotations

import asyncio
import gc
import http.client
import os
from collections import Counter
from collections.abc import Iterator

import django_redis
import hypothesis
import pytest
import redis as redis_library
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry import presence
from saga_project.shared import redis as shared_redis
from saga_project.web import health, problems
from tests import api_clients, emptying, servers

# Bounded, so that the suite stays quick; no deadline, since two workers share the machine.
hypothesis.settings.register_profile("saga", max_examples=50, deadline=None)
hypothesis.settings.load_profile("saga")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Reject two tests with one id: xdist would silently run only one of them."""
    ids = Counter(item.nodeid for item in session.items)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise pytest.UsageError(f"More than one test is called {twice[0]}.")
    # What was imported and collected stays: the garbage collector need not look through it again.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Make this worker's database a copy of the migrated one, where the embedded server has that."""
    if template := os.environ.get(servers.TEMPLATE_VARIABLE):
        connection.settings_dict["TEST"]["TEMPLATE"] = template


@pytest.fixture(scope="session", autouse=True)
def quick_tests() -> Iterator[None]:
    """Repeat in each test only what that test changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty_filled_tables)
        # A client of Django's reads all static files before its first request otherwise.
        patch.setattr(settings, "WHITENOISE_AUTOREFRESH", True, raising=False)
        yield


@pytest.fixture
def redis() -> Iterator[redis_library.Redis]:
    """An empty Redis, this worker's own, filled from an empty database.

    It is left like that as well: a web process that lives longer than one test fills a Redis in which it
    finds nothing, and would come to the end of that in the next one.
    """
    store = django_redis.get_redis_connection("default")
    shared_redis.breaker.close()
    store.flushdb()
    presence.mark_filled()
    yield store
    shared_redis.breaker.close()
    store.flushdb()
    presence.mark_filled()


@pytest.fixture
def httpserver(make_httpserver: HTTPServer) -> HTTPServer:
    """This worker's HTTP server, without requests that an earlier test left behind.

    It answers one request at a time, in their order: once it has answered this one, those are in its log.
    """
    server = http.client.HTTPConnection(make_httpserver.host, make_httpserver.port, timeout=60)
    server.request("GET", "/")
    server.getresponse().read()
    server.close()
    make_httpserver.clear()
    return make_httpserver


@pytest.fixture(autouse=True)
def just_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give /health the patience of a process that has just started: no sweep runs beside a test."""
    monkeypatch.setattr(health, "_memory", problems.Memory())


@pytest.fixture
def api() -> APIClient:
    return APIClient(SERVER_NAME="localhost")


@pytest.fixture
def bearer() -> api_clients.Bearer:
    """Return the header of a new token: ``bearer("registry:manage", account="ci")``."""
    return api_clients.bearer


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs while a test says so."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()
