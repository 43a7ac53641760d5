"""Many small calls at once, for health checks: the guard of ``sockets.dial``, on an event loop.

The host is resolved once, every answer is judged, and the judged address is the one that is dialled; TLS
checks the certificate for the host's name. A call sends one GET, follows no redirect, and reads no more than
it was asked for. ``http.client`` would take a thread for each call that is on its way; a thousand calls a
second cost a tenth this way. aiohttp and httpx resolve and dial by themselves, past the guard.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from typing import cast

import httptools
from django.conf import settings

from saga_project.shared.http_client import addresses, client, proxies, sockets, urls
from saga_project.shared.http_client.errors import (
    AddressRefused,
    AnswerBroken,
    AnswerTooLarge,
    NoAnswer,
)
from saga_project.shared.http_client.urls import Url

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """``body`` is None unless it was asked for; the expiry is in seconds since 1970, of TLS only."""

    status: int
    body: bytes | None = None
    certificate_expires_at: float | None = None


async def fetch(url: Url, *, purpose: str, timeout_seconds: float, wants_body: bool) -> ProbeAnswer:
    """Send a GET and return the answer, whatever its status.

    Raises AddressRefused, NoAnswer, TookTooLong, AnswerTooLarge, AnswerBroken.
    """
    with client.translated(purpose):
        async with asyncio.timeout(timeout_seconds):
            exchange = _Exchange(url, purpose=purpose, wants_body=wants_body)
            for address in await _judged(url.host, url.port, purpose=purpose):
                try:
                    transport = await _dial(exchange, url, address, purpose=purpose)
                except (OSError, proxies.ProxyRefused) as exc:
                    failure = exc
                    continue
                try:
                    status, body = await exchange.done
                    return ProbeAnswer(status, body, _expiry_of(transport))
                finally:
                    exchange.done.cancel()
                    transport.abort()
            raise failure


async def _dial(exchange: _Exchange, url: Url, address: str, *, purpose: str) -> asyncio.Transport:
    """Connect the exchange to a judged address of the host, through the proxy where there is one."""
    tls = sockets.tls() if url.scheme == "https" else None
    name = url.host if tls else None
    proxy = proxies.for_address(url.host, address)
    if proxy is None:
        return await _connect(
            exchange, address, url.port, purpose=purpose, tls=tls, server_hostname=name
        )
    if not proxies.needs_tunnel(url):
        exchange.proxy, exchange.before_path = proxy, proxies.whole(url, address)
        return await proxies.dial(exchange, proxy)
    return await proxies.connect(
        exchange,
        proxy,
        address=address,
        port=url.port,
        purpose=purpose,
        tls=tls,
        server_hostname=name,
    )


async def _connect(
    protocol: asyncio.Protocol,
    address: str,
    port: int,
    *,
    purpose: str,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: protocol, address, port, ssl=tls, server_hostname=server_hostname
    )
    peer = transport.get_extra_info("peername")
    if not peer or urls.address_of(str(peer[0])) != urls.address_of(address):
        transport.abort()
        raise AddressRefused(f"The {purpose} URL led to an unchecked address.")
    return transport


async def connect(host: str, port: int, *, purpose: str, timeout_seconds: float) -> None:
    """Open a connection and close it. Raises AddressRefused, NoAnswer, TookTooLong."""
    with client.translated(purpose):
        async with asyncio.timeout(timeout_seconds):
            for address in await _judged(host, port, purpose=purpose):
                proxy = proxies.for_address(host, address)
                try:
                    if proxy is None:
                        transport = await _connect(
                            asyncio.Protocol(), address, port, purpose=purpose
                        )
                    else:
                        transport = await proxies.connect(
                            asyncio.Protocol(), proxy, address=address, port=port, purpose=purpose
                        )
                except (OSError, proxies.ProxyRefused) as exc:
                    failure = exc
                    continue
                transport.abort()
                return
            raise failure


async def _judged(host: str, port: int, *, purpose: str) -> list[str]:
    """Return the addresses of a host, each of which may be dialled."""
    if port in addresses.own_ports():
        raise AddressRefused(f"The {purpose} URL names a port that is never called.")
    if urls.address_of(host) is not None:
        found = [host]
    else:
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        except (OSError, UnicodeError):
            raise NoAnswer(f"The {purpose} URL's host is not known.") from None
        found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if not found:
        raise NoAnswer(f"The {purpose} URL's host is not known.")
    for text in found:
        addresses.evaluate(text, purpose=purpose)
    return found


def _expiry_of(transport: asyncio.BaseTransport) -> float | None:
    connection = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
    if connection is None:
        return None
    not_after = (connection.getpeercert() or {}).get("notAfter")
    return float(ssl.cert_time_to_seconds(not_after)) if isinstance(not_after, str) else None


class _Exchange(asyncio.Protocol):
    """Sends one request; ``done`` is the status with the body, if that is wanted."""

    def __init__(self, url: Url, *, purpose: str, wants_body: bool) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[tuple[int, bytes | None]] = loop.create_future()
        #: Where the proxy itself answers the request.
        self.proxy: proxies.Proxy | None = None
        self.before_path = ""
        self._url, self._purpose, self._wants_body = url, purpose, wants_body
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._status = 0
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        fields = self.proxy.headers if self.proxy else {}
        login = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
        head = (
            f"GET {self.before_path}{self._url.target} HTTP/1.1\r\nHost: {self._url.authority}\r\n"
            f"User-Agent: Saga/{settings.SAGA_VERSION}\r\nAccept: */*\r\n"
            f"{login}Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
        )
        cast("asyncio.Transport", transport).write(head.encode("ascii"))

    def data_received(self, data: bytes) -> None:
        if self.done.done():
            return
        if not self._status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + MAX_BODY_BYTES:
                self._fail(AnswerTooLarge(f"The {self._purpose} URL's answer has too long a head."))
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(AnswerBroken(f"The {self._purpose} URL's answer is not HTTP."))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:  # not an interim answer
            self._status = status
            if self.proxy and status == proxies.LOGIN_WANTED:
                self._fail(proxies.ProxyRefused(proxies.LOGIN_REFUSED))
            if not self._wants_body:
                self._finish()

    def on_body(self, data: bytes) -> None:
        if self._wants_body and not self.done.done():
            self._body += data
            if len(self._body) > MAX_BODY_BYTES:
                self._fail(
                    AnswerTooLarge(
                        f"The {self._purpose} URL's answer has more than {MAX_BODY_BYTES:,} bytes."
                    )
                )

    def on_message_complete(self) -> None:
        if self._status:
            self._finish()

    def eof_received(self) -> None:
        if self._status:  # a body without a length ends so; one that was cut short is no JSON
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(
            AnswerBroken(f"The {self._purpose} URL's answer was cut short.")
            if self._status
            else NoAnswer(f"The {self._purpose} URL closed the connection without an answer.")
        )

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, bytes(self._body) if self._wants_body else None))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
