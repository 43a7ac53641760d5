"""Heads and connections are limited where the bytes arrive."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from registry.identity import accounts
from saga_project.web import head_limits
from tests import webserver
from tests.webserver import WebServer

pytestmark = pytest.mark.django_db(transaction=True)
LIST = b"GET /api/v1/services HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server(redis: object) -> Iterator[WebServer]:
    with webserver.serving() as server:
        yield server


def connect(server: WebServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def answer_to(server: WebServer, raw: bytes) -> bytes:
    """Return all that the server sends until it closes the connection."""
    with connect(server) as connection:
        connection.sendall(raw)
        with connection.makefile("rb") as file:
            return file.read()


def test_a_head_beyond_the_limits_is_refused_and_one_within_is_not(server: WebServer) -> None:
    def with_fields(count: int) -> bytes:
        return b"".join(b"X-Field-%d: 1\r\n" % number for number in range(count))

    last = b"Connection: close\r\n\r\n"
    within = [
        LIST + b"X-Long: " + b"x" * 60_000 + b"\r\n" + last,
        LIST + with_fields(98) + last,
    ]
    beyond = [
        LIST + b"X-Long: " + b"x" * 70_000 + b"\r\n" + last,
        LIST + b"X-Long: " + b"x" * 4_000_000,
        LIST + with_fields(101) + last,
        LIST + b"DNT: 1\r\n" * 101 + last,
        b"GET /api/v1/services?q=" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + last,
    ]
    long_trailer = (
        b"POST /api/v1/services/register HTTP/1.1\r\nHost: localhost\r\n"
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: "
        + b"x" * 300_000
    )

    for raw in within:
        assert answer_to(server, raw).startswith(b"HTTP/1.1 200 ")
    for raw in beyond:
        answer = answer_to(server, raw)
        assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "Request head too large"
    with connect(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(long_trailer)
        assert b" 200 " not in connection.recv(20)


def test_a_head_that_is_never_complete_and_a_silent_connection_are_closed(
    server: WebServer,
) -> None:
    with connect(server) as half, connect(server) as stray, connect(server) as silent:
        started_at = time.monotonic()
        half.sendall(LIST)
        stray.sendall(b"\r\n")

        assert half.recv(1) == b""
        assert stray.recv(1) == b""
        assert time.monotonic() - started_at >= head_limits.HEAD_SECONDS - 1
        assert silent.recv(1) == b""
        assert time.monotonic() - started_at >= head_limits.NEW_SECONDS - 1


def test_a_field_in_a_trailer_authenticates_nothing(redis: object) -> None:
    account = accounts.ensure_account("ci", scopes=["registry:manage"])
    _, token = accounts.issue_token(account, scopes=["registry:manage"])
    body = b'{"service_name": "shop", "service_url": "http://127.0.0.1:9/shop"}'
    head = (
        b"POST /api/v1/services/register HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    )
    field = b"Authorization: Bearer %b\r\n" % token.encode()
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(body), body)

    with webserver.serving(SAGA_AUTH="required") as server:
        in_trailer = answer_to(server, head + b"\r\n" + chunks + field + b"\r\n")
        in_head = answer_to(server, head + field + b"\r\n" + chunks + b"\r\n")

    assert in_trailer.startswith(b"HTTP/1.1 401 ")
    assert in_head.startswith(b"HTTP/1.1 200 ")


def test_connections_beyond_the_limit_are_refused(redis: object) -> None:
    with webserver.serving(SAGA_MAX_CONNECTIONS="3") as server:
        with connect(server) as first, connect(server) as second, connect(server) as third:
            for connection in (first, second, third):
                connection.sendall(LIST + b"\r\n")
                assert connection.recv(15) == b"HTTP/1.1 200 OK"
            assert answer_to(server, b"").startswith(b"HTTP/1.1 503 ")
        assert server.get("/livez").ok


def test_the_file_limit_is_raised_to_the_hard_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        head_limits.raise_file_limit()

        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
