"""Connections of health checks are kept for the next call, and each answer belongs to its own request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from saga_project.shared.http_client import (
    AddressRefused,
    AnswerBroken,
    addresses,
    exchanges,
    probing,
    proxies,
    urls,
)

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.SAGA_ALLOWED_NETWORKS = ["127.0.0.0/8"]


class Server:
    """Answers each request with the next of ``answers``; an empty one closes the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests = 0
        self.first_lines: list[str] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.first_lines.append(head.split(b"\r\n")[0].decode())
                self.requests += 1
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[exchanges.KeptConnections]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        kept = exchanges.KeptConnections(asyncio.get_running_loop(), limit=5)
        try:
            yield kept
        finally:
            kept.close()
            server.close()
            await asyncio.sleep(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def ask(
        self, kept: exchanges.KeptConnections, *, wants_body: bool = False, address: str = ""
    ) -> probing.ProbeAnswer:
        url = urls.parse(address or f"http://127.0.0.1:{self.port}/up", field="url")
        answer = await probing.fetch(
            url, purpose="test", timeout_seconds=20, wants_body=wants_body, kept=kept
        )
        await asyncio.sleep(0.01)
        return answer


def test_calls_one_after_another_share_a_connection() -> None:
    server = Server(WELL)

    async def play() -> None:
        async with server.running() as kept:
            for _ in range(5):
                assert (await server.ask(kept)).status == 200

    asyncio.run(play())
    assert (server.connections, server.requests) == (1, 5)


def test_calls_at_the_same_moment_have_connections_of_their_own() -> None:
    server = Server(WELL)

    async def play() -> list[probing.ProbeAnswer]:
        async with server.running() as kept:
            return await asyncio.gather(*(server.ask(kept) for _ in range(3)))

    assert {answer.status for answer in asyncio.run(play())} == {200}
    assert server.connections == 3


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        WELL + WELL,  # the second answer belongs to no request
        WELL + b"rubbish",
    ],
)
def test_a_connection_that_could_mix_up_answers_is_not_kept(first: bytes) -> None:
    server = Server(first, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    async def play() -> list[int]:
        async with server.running() as kept:
            with contextlib.suppress(AnswerBroken):
                await server.ask(kept)
            return [(await server.ask(kept)).status]

    assert asyncio.run(play()) == [503]
    assert server.connections == 2


def test_a_kept_connection_that_the_server_closed_is_no_finding() -> None:
    server = Server(WELL, b"", WELL)

    async def play() -> list[int]:
        async with server.running() as kept:
            return [(await server.ask(kept)).status for _ in range(2)]

    assert asyncio.run(play()) == [200, 200]
    assert (server.connections, server.requests) == (2, 3)


def test_an_old_connection_is_dialled_anew_and_its_address_checked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(WELL)

    def refuse(text: str, *, purpose: str) -> None:
        raise AddressRefused(f"{text} {purpose}")

    async def play() -> None:
        async with server.running() as kept:
            await server.ask(kept)
            monkeypatch.setattr(exchanges, "MAX_AGE_SECONDS", 0.0)
            await server.ask(kept)
            assert server.connections == 2
            monkeypatch.setattr(addresses, "evaluate", refuse)
            with pytest.raises(AddressRefused):
                await server.ask(kept)

    asyncio.run(play())


def test_the_body_that_was_asked_for_is_that_of_the_call() -> None:
    server = Server(
        WELL, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n", WELL
    )

    async def play() -> list[bytes | None]:
        async with server.running() as kept:
            return [(await server.ask(kept, wants_body=True)).body for _ in range(3)]

    assert asyncio.run(play()) == [b"ok", b"yes", b"ok"]
    assert server.connections == 1


def test_a_body_that_does_not_end_is_closed_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "DRAIN_SECONDS", 0.0)
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", WELL)

    async def play() -> None:
        async with server.running() as kept:
            assert (await server.ask(kept)).status == 200
            kept.sweep()
            assert (await server.ask(kept)).status == 200

    asyncio.run(play())
    assert server.connections == 2


def test_no_more_connections_are_kept_than_the_limit() -> None:
    server = Server(WELL)

    async def play() -> None:
        async with server.running() as kept:
            await asyncio.gather(*(server.ask(kept) for _ in range(12)))
            assert sum(len(each) for each in kept._idle.values()) <= 6

    asyncio.run(play())


@pytest.fixture
def proxied(settings: Any) -> Callable[[Server], None]:
    """Have a server answer as the proxy of all calls, without a tunnel: their URLs name addresses."""

    def use(server: Server) -> None:
        settings.SAGA_NO_PROXY = settings.SAGA_ALLOWED_NETWORKS = []
        settings.SAGA_HTTP_PROXY = f"http://127.0.0.1:{server.port}"

    return use


def test_a_connection_to_the_proxy_is_kept_for_one_checked_address(
    monkeypatch: pytest.MonkeyPatch, proxied: Callable[[Server], None]
) -> None:
    server = Server(WELL)

    def refuse(text: str, *, purpose: str) -> None:
        raise AddressRefused(f"{text} {purpose}")

    async def play() -> None:
        async with server.running() as kept:
            proxied(server)
            for _ in range(3):
                await server.ask(kept, address="http://93.184.216.34/up")
            assert server.connections == 1
            await server.ask(kept, address="http://93.184.216.35/up")
            monkeypatch.setattr(addresses, "evaluate", refuse)
            with pytest.raises(AddressRefused):
                await server.ask(kept, address="http://93.184.216.36/up")
            monkeypatch.setattr(exchanges, "MAX_AGE_SECONDS", 0.0)
            with pytest.raises(AddressRefused):
                await server.ask(kept, address="http://93.184.216.34/up")

    asyncio.run(play())
    assert server.connections == 2
    assert server.first_lines == [
        *["GET http://93.184.216.34:80/up HTTP/1.1"] * 3,
        "GET http://93.184.216.35:80/up HTTP/1.1",
    ]


def test_a_proxy_that_wants_a_login_meanwhile_is_no_answer_of_the_service(
    proxied: Callable[[Server], None],
) -> None:
    server = Server(WELL, b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")

    async def play() -> None:
        async with server.running() as kept:
            proxied(server)
            await server.ask(kept, address="http://93.184.216.34/up")
            with pytest.raises(proxies.ProxyRefused):
                await server.ask(kept, address="http://93.184.216.34/up")

    asyncio.run(play())
    assert server.connections == 1
