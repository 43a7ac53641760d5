"""What the edge holds off before Django: size, pace, forged headers, second spellings."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
import requests

from saga_project import asgi
from saga_project.shared import api
from saga_project.web import request_limits
from tests import waiting
from tests.webserver import WebServer

REGISTER = "/api/v1/services/register"


def talk(server: WebServer, *parts: bytes) -> bytes:
    """Send raw bytes and return everything up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join([line, "Host: localhost", "Connection: close", *headers, "", ""])
    return head.encode("latin-1") + body


# --- Over the wire --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("path", ["/api/v1/services", "/livez", "/api/v1/events"])
def test_a_trailing_slash_says_nothing_and_redirects_nowhere(server: WebServer, path: str) -> None:
    plain = server.get(path, allow_redirects=False)
    slashed = server.get(path + "/", allow_redirects=False)

    assert plain.status_code == slashed.status_code == 200
    assert list(plain.json()) == list(slashed.json())


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.django_db(transaction=True)
def test_a_body_that_is_too_large_is_413_in_its_dialect(
    server: WebServer, is_chunked: bool
) -> None:
    def answer(path: str) -> requests.Response:
        body = b" " * (api.MAX_BODY_BYTES + 1)
        data = iter([body[:500_000], body[500_000:]]) if is_chunked else body
        return server.post(path, data=data, headers={"Content-Type": "application/json"})

    saga, scaicontrol = answer(REGISTER), answer("/api/v1/registry/register")

    assert saga.status_code == scaicontrol.status_code == 413
    assert saga.json()["error"] == "Request body too large"
    assert scaicontrol.json()["error"]["code"] == "payload_too_large"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_a_body_in_chunks_is_read_like_any_other(server: WebServer) -> None:
    raw = json.dumps({"service_name": "pay", "service_url": "http://localhost:1"}).encode()

    response = server.post(
        REGISTER, data=iter([raw[:10], raw[10:]]), headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 200, response.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_a_client_that_leaves_within_its_body_leaves_no_trace(server: WebServer) -> None:
    nothing = {"services": [], "total": 0}
    # The process outlives tests; what the one before left is gone a moment later.
    waiting.until(lambda: server.get("/api/v1/services").json() == nothing)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(
                request(f"POST {REGISTER} HTTP/1.1", "Content-Length: 100", body=b'{"service_')
            )

    # Any process may answer, and each forgets by itself; a registration would stay for a minute.
    waiting.until(lambda: server.get("/api/v1/services").json() == nothing)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_a_header_with_an_underscore_is_not_taken_for_one_with_a_hyphen(server: WebServer) -> None:
    answer = talk(
        server,
        request("GET /api/v1/services HTTP/1.1", "X_Request_ID: forged", "X-Request-ID: mine"),
    )

    assert b"\r\nx-request-id: mine\r\n" in answer
    assert b"forged" not in answer


@pytest.mark.parametrize("target", ["/api/v1/services?q=\xe9\xff", "/api/v1/services?q=%ff%00"])
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_bytes_that_are_no_text_are_no_server_error(server: WebServer, target: str) -> None:
    answer = talk(server, request(f"GET {target} HTTP/1.1"))

    assert answer.split(b" ")[1] in (b"200", b"400")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_every_answer_carries_a_request_id(server: WebServer) -> None:
    own = server.get("/api/v1/services", headers={"X-Request-ID": "a-b_c.7"})
    made = server.get("/nowhere", headers={"X-Request-ID": "not one word"})

    assert own.headers["X-Request-ID"] == "a-b_c.7"
    assert made.status_code == 404
    assert len(made.headers["X-Request-ID"]) == 32


# --- Alone ----------------------------------------------------------------------------------------


async def never() -> request_limits.Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_body_that_does_not_come_is_too_slow() -> None:
    with pytest.raises(request_limits.TooSlow):
        asyncio.run(request_limits.read_body(never, timeout_seconds=0.01))


def test_a_body_is_cut_one_byte_above_what_is_allowed() -> None:
    chunks = [b"x" * 700_000] * 3

    async def receive() -> request_limits.Message:
        return {"type": "http.request", "body": chunks.pop(), "more_body": bool(chunks)}

    assert len(asyncio.run(request_limits.read_body(receive))) == api.MAX_BODY_BYTES + 1
    assert chunks == []


def test_endless_body_is_not_read_to_the_end() -> None:
    read = 0

    async def receive() -> request_limits.Message:
        nonlocal read
        read += 1_000_000
        return {"type": "http.request", "body": b"x" * 1_000_000, "more_body": True}

    asyncio.run(request_limits.read_body(receive))

    assert read < request_limits.MAX_DISCARDED_BYTES + 3_000_000


def test_client_that_reads_nothing_does_not_block_its_thread() -> None:
    tried: list[request_limits.Message] = []

    async def stuck(message: request_limits.Message) -> None:
        tried.append(message)
        await never()

    async def answer() -> None:
        send = request_limits.impatient(stuck, timeout_seconds=0.01)
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x"})

    asyncio.run(answer())

    assert len(tried) == 1


@pytest.mark.parametrize(("path", "shape"), [("/x", str), ("/api/v1/registry/register", dict)])
def test_where_too_many_wait_the_next_one_is_refused(path: str, shape: type) -> None:
    sent: list[request_limits.Message] = []

    async def send(message: request_limits.Message) -> None:
        sent.append(message)

    full = asgi.DjangoThreads(threads=1, waiting=-1)
    scope = {"type": "http", "path": path, "headers": [(b"x-request-id", b"mine")]}
    asyncio.run(full(scope, never, send))

    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == 503
    assert headers[b"retry-after"] == b"1"
    assert headers[b"x-request-id"] == b"mine"
    assert isinstance(json.loads(sent[1]["body"])["error"], shape)


def test_polls_of_agents_hold_no_thread_that_other_requests_need() -> None:
    application = asgi.Application()

    poll, other = (
        application._django_for({"path": path, "method": "POST"})
        for path in ("/api/v1/agent/poll", "/api/v1/webhooks/deploy")
    )

    assert poll is not other


def test_a_forgotten_connection_is_refused_plainly(server: WebServer) -> None:
    assert b"400" in talk(server, b"this is not HTTP\r\n\r\n").split(b"\r\n")[0]
    assert requests.get(server.url + "/livez", timeout=60).ok
