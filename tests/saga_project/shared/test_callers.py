"""Local callers and trusted forwarded headers: the fast path and Django decide alike."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from saga_project.shared import callers
from tests import webserver
from tests.webserver import WebServer

BODY = json.dumps({"service_name": "shop", "service_url": "http://127.0.0.1:9/shop"}).encode()


def status_of(server: WebServer, *headers: str, method: str = "POST", version: str = "1.1") -> int:
    """Return the status of a registration (or the list) that is sent with exactly these headers."""
    path = "/api/v1/services/register" if method == "POST" else "/api/v1/services"
    lines = [f"{method} {path} HTTP/{version}", *headers, "Connection: close"]
    body = BODY if method == "POST" else b""
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return int(connection.makefile("rb").readline().split()[1])


FORWARDED = [
    ["Host: localhost", "X-Forwarded-For: 127.0.0.1"],
    ["Host: localhost", "X-Forwarded-Proto: https"],
    ["Host: localhost", "X-Forwarded-Whatever: 1"],
    ["Host: localhost", "X-Real-IP: 127.0.0.1"],
    ["Host: localhost", "Forwarded: for=127.0.0.1"],
    ["Host: localhost", "Via: 1.1 proxy"],
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fast_path", ["true", "false"])
def test_open_mode_serves_local_callers_only(fast_path: str, redis: object) -> None:
    with webserver.serving(SAGA_FAST_PATH=fast_path, SAGA_AUTH="open") as server:
        for method in ("POST", "GET"):
            assert status_of(server, "Host: localhost", method=method) == 200
            assert status_of(server, "Host: 127.0.0.1:8030", method=method) == 200
            for headers in FORWARDED:
                assert status_of(server, *headers, method=method) == 401, headers
            assert status_of(server, method=method) == 401
            assert status_of(server, "Host: localhost", method=method, version="1.0") == 401
            assert status_of(server, "Host: saga.example", method=method) == 400
        other_site = ("Host: localhost", "Sec-Fetch-Site: cross-site")
        assert status_of(server, *other_site) == 403
        assert status_of(server, *other_site, method="GET") == 200
        assert status_of(server, "Host: localhost", "Origin: http://evil.example") == 403
        assert status_of(server, "Host: localhost", "Origin: http://localhost") == 200


@pytest.mark.django_db(transaction=True)
def test_a_declared_proxy_on_this_machine_is_no_local_caller(redis: object) -> None:
    with webserver.serving(SAGA_AUTH="open", SAGA_TRUSTED_PROXIES="127.0.0.0/8") as server:
        assert status_of(server, "Host: localhost", method="GET") == 401
        assert status_of(server, "Host: localhost") == 401


# --- Forwarded headers ----------------------------------------------------------------------------


def believed(peer: str, *forwarded: str, **headers: str) -> tuple[str, str]:
    """Return the client and the scheme of a request from ``peer`` with these headers."""
    pairs = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    pairs += [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope: dict[str, Any] = {"client": (peer, 5), "scheme": "http", "headers": pairs}
    callers.believe_proxy(scope)
    return scope["client"][0], scope["scheme"]


def test_no_forwarded_header_is_believed_by_default() -> None:
    assert django_settings.SAGA_TRUSTED_PROXIES == []

    assert believed("127.0.0.1", "203.0.113.9", x_forwarded_proto="https") == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9, 10.0.0.8"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db8::9]:4711"], "2001:db8::9"),
        (["2001:db8::9"], "2001:db8::9"),
        (["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        (["203.0.113.9, rubbish"], "10.0.0.7"),
        (["203.0.113.9, rubbish, 10.0.0.8"], "10.0.0.8"),
        ([""], "10.0.0.7"),
        ([], "10.0.0.7"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    settings: Settings, forwarded: list[str], client: str
) -> None:
    settings.SAGA_TRUSTED_PROXIES = ["10.0.0.0/8"]

    assert believed("10.0.0.7", *forwarded)[0] == client


def test_the_scheme_is_what_a_trusted_proxy_says(settings: Settings) -> None:
    settings.SAGA_TRUSTED_PROXIES = ["10.0.0.7"]

    assert believed("10.0.0.7", x_forwarded_proto="https")[1] == "https"
    assert believed("10.0.0.7", x_forwarded_proto="gopher")[1] == "http"
    assert believed("10.0.0.8", x_forwarded_proto="https")[1] == "http"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_knows_a_local_peer(address: str) -> None:
    assert callers.is_local_peer(address)


@pytest.mark.parametrize("address", ["", "10.0.0.1", "::", "0.0.0.0", "::ffff:10.0.0.1", "unix:"])
def test_knows_a_peer_that_is_not_local(address: str) -> None:
    assert not callers.is_local_peer(address)
