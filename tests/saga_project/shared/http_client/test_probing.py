"""Calls on an event loop are held to the same guard as all others."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from saga_project.shared import errors
from saga_project.shared.http_client import (
    AddressRefused,
    AnswerBroken,
    AnswerTooLarge,
    NoAnswer,
    TookTooLong,
    addresses,
    probing,
    sockets,
    urls,
)
from tests import certificates


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.SAGA_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@contextlib.asynccontextmanager
async def serving(
    *parts: bytes, is_open: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server that sends these parts to each caller, then closes or stays silent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            while is_open and await reader.read(1):
                pass
        writer.transport.abort()
        await asyncio.sleep(0)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def fetch(
    *parts: bytes, wants_body: bool = False, is_open: bool = False, seconds: float = 20
) -> probing.ProbeAnswer:
    async def ask() -> probing.ProbeAnswer:
        async with serving(*parts, is_open=is_open) as port:
            url = urls.parse(f"http://127.0.0.1:{port}/health?x=1", field="url")
            return await probing.fetch(
                url, purpose="test", timeout_seconds=seconds, wants_body=wants_body
            )

    return asyncio.run(ask())


def test_status_is_enough_where_no_body_is_wanted() -> None:
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 99999999\r\n\r\n"

    assert fetch(head, is_open=True) == probing.ProbeAnswer(503)


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"we", b"ll"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nwell\r\n0\r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\nwell",),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"),
    ],
)
def test_body_is_read_to_its_end(parts: tuple[bytes, ...]) -> None:
    assert fetch(*parts, wants_body=True) == probing.ProbeAnswer(200, b"well")


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ((), NoAnswer),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), AnswerBroken),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"a" * 400_000,), AnswerTooLarge),
        ((b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 300_000,), AnswerTooLarge),
    ],
)
def test_bad_answers_are_errors(parts: tuple[bytes, ...], error: type[errors.SagaError]) -> None:
    with pytest.raises(error):
        fetch(*parts, wants_body=True)


def test_silent_server_costs_the_timeout() -> None:
    with pytest.raises(TookTooLong):
        fetch(b"HTTP/1.1 200 OK\r\n", is_open=True, seconds=0.3)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]", "224.0.0.1", "[fe80::1]"]
)
def test_refused_addresses_are_not_dialled(host: str, settings: Any) -> None:
    settings.SAGA_ALLOWED_NETWORKS = []
    url = urls.parse(f"http://{host}:8080/", field="url")

    with pytest.raises(AddressRefused):
        asyncio.run(probing.fetch(url, purpose="test", timeout_seconds=5, wants_body=False))
    with pytest.raises(AddressRefused):
        asyncio.run(probing.connect(url.host, 8080, purpose="test", timeout_seconds=5))


def test_name_that_also_leads_to_a_refused_address_is_not_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask() -> None:
        async def resolve(*_: object, **__: object) -> list[object]:
            return [(2, 1, 6, "", (text, 80)) for text in ("127.0.0.1", "169.254.169.254")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        await probing.connect("mixed.example", 80, purpose="test", timeout_seconds=5)

    with pytest.raises(AddressRefused):
        asyncio.run(ask())


def test_own_ports_are_not_dialled() -> None:
    for port in addresses.own_ports():
        with pytest.raises(AddressRefused):
            asyncio.run(probing.connect("127.0.0.1", port, purpose="test", timeout_seconds=5))


def test_connection_that_is_accepted_is_well_and_one_that_is_refused_is_not() -> None:
    async def connect() -> None:
        async with serving() as port:
            await probing.connect("127.0.0.1", port, purpose="test", timeout_seconds=20)
        with pytest.raises(NoAnswer):
            await probing.connect("127.0.0.1", port, purpose="test", timeout_seconds=20)

    asyncio.run(connect())


def test_certificate_is_checked_for_the_name_and_its_end_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=9)
    certificate, key = certificates.write(tmp_path, expires_at, name="localhost")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def ask(host: str, context: ssl.SSLContext) -> probing.ProbeAnswer:
        monkeypatch.setattr(sockets, "tls", lambda: context)
        head = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with serving(head, tls=served) as port:
            url = urls.parse(f"https://{host}:{port}/", field="url")
            return await probing.fetch(url, purpose="test", timeout_seconds=20, wants_body=False)

    assert asyncio.run(ask("localhost", trusting)).certificate_expires_at == expires_at.timestamp()
    with pytest.raises(NoAnswer, match="certificate"):
        asyncio.run(ask("127.0.0.1", trusting))
    with pytest.raises(NoAnswer, match="certificate"):
        asyncio.run(ask("localhost", ssl.create_default_context()))
