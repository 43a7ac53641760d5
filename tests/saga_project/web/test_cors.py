"""Pages of other origins: what a browser allows them to read, and what it may send."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from pytest_django import Settings

from saga_project.web import request_limits
from tests import webserver
from tests.webserver import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

PORTAL = "https://portal.example.com"
SERVICE = {"service_name": "pay", "service_url": "http://127.0.0.1:9/pay"}
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def portals(django_db_setup: None, django_db_blocker: Any) -> Iterator[WebServer]:
    """A server whose API the pages of the portal may call."""
    with (
        django_db_blocker.unblock(),
        webserver.serving(SAGA_AUTH="open", SAGA_CORS_ORIGINS=PORTAL) as started,
    ):
        yield started


def preflight(server: WebServer, *, origin: str) -> requests.Response:
    return requests.options(
        f"{server.url}/api/v1/services/register",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
        timeout=30,
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/services", 200),
        ("/api/v1/services/pay", 200),
        ("/api/v1/services/none", 404),
        ("/api/v1/services?limit=0", 400),
        ("/api/v1/nothing", 404),
        ("/api/v1/health", None),
    ],
)
def test_page_of_the_named_origin_may_read(
    portals: WebServer, path: str, status: int | None
) -> None:
    portals.post("/api/v1/services/register", json=SERVICE)

    answer = portals.get(path, headers={"Origin": PORTAL})
    foreign = portals.get(path, headers={"Origin": "https://evil.example.com"})

    assert status in (None, answer.status_code)
    assert answer.headers[ALLOW_ORIGIN] == PORTAL
    assert "etag" in answer.headers["Access-Control-Expose-Headers"]
    assert ALLOW_ORIGIN not in foreign.headers


def test_stream_carries_the_headers(portals: WebServer) -> None:
    with portals.get("/api/v1/events/stream", headers={"Origin": PORTAL}, stream=True) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers[ALLOW_ORIGIN] == PORTAL
        assert "origin" in stream.headers["Vary"].lower()


def test_answer_without_an_origin_varies_by_it_on_both_ways(portals: WebServer) -> None:
    """A cache must not give a page what was answered to a program."""
    portals.post("/api/v1/services/register", json=SERVICE)
    fast = portals.get("/api/v1/services/pay")
    ordinary = portals.get("/api/v1/services/pay/instances")

    assert "origin" in fast.headers["Vary"].lower()
    assert fast.headers["Vary"] == ordinary.headers["Vary"]
    assert ALLOW_ORIGIN not in fast.headers


def test_preflight_is_answered_for_the_named_origin(portals: WebServer) -> None:
    named, foreign = preflight(portals, origin=PORTAL), preflight(portals, origin="https://x.test")

    assert named.status_code == 200
    assert named.headers[ALLOW_ORIGIN] == PORTAL
    assert "POST" in named.headers["Access-Control-Allow-Methods"]
    assert "idempotency-key" in named.headers["Access-Control-Allow-Headers"]
    assert ALLOW_ORIGIN not in foreign.headers


def test_open_mode_refuses_changes_of_a_page_without_a_token(portals: WebServer) -> None:
    answer = portals.post("/api/v1/services/register", json=SERVICE, headers={"Origin": PORTAL})

    assert answer.status_code == 403
    assert answer.json()["error"] == "Cross-site request refused"
    assert answer.headers[ALLOW_ORIGIN] == PORTAL


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(f"Origin: {PORTAL}\r\n", PORTAL), ("Origin: https://x.test\r\n", None), ("", PORTAL)],
    ids=["named", "foreign", "not read yet"],
)
def test_head_that_is_too_large_is_refused_with_the_headers(
    portals: WebServer, origin: str, allowed: str | None
) -> None:
    head = f"GET /api/v1/services HTTP/1.1\r\nHost: localhost\r\n{origin}X: {'x' * 70_000}\r\n\r\n"

    with socket.create_connection(("127.0.0.1", portals.port), timeout=60) as connection:
        connection.sendall(head.encode("ascii"))
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()

    assert answer.status == 431
    assert answer.headers[ALLOW_ORIGIN] == allowed


@pytest.mark.parametrize(
    ("path", "origin", "allowed"),
    [
        ("/api/v1/services", PORTAL, PORTAL),
        ("/api/v1/services", "https://x.test", None),
        ("/admin/", PORTAL, None),
    ],
)
def test_answer_before_django_carries_the_headers(
    settings: Settings, path: str, origin: str, allowed: str | None
) -> None:
    """Such as 503 to a request that finds all threads busy, and 408 to a slow body."""
    settings.SAGA_CORS_ORIGINS = settings.CORS_ALLOWED_ORIGINS = [PORTAL]
    sent: list[request_limits.Message] = []

    async def send(message: request_limits.Message) -> None:
        sent.append(message)

    scope = {"path": path, "headers": [(b"origin", origin.encode())]}
    asyncio.run(request_limits.answer_too_slow(scope, send))

    fields = dict(sent[0]["headers"])
    assert sent[0]["status"] == 408
    assert fields.get(b"access-control-allow-origin") == (allowed.encode() if allowed else None)


def test_is_off_unless_asked_for(server: WebServer) -> None:
    read = server.get("/api/v1/services", headers={"Origin": PORTAL})

    assert ALLOW_ORIGIN not in read.headers
    assert "origin" not in read.headers.get("Vary", "").lower()
    assert ALLOW_ORIGIN not in preflight(server, origin=PORTAL).headers
