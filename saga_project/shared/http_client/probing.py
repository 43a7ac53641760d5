"""Many small calls at once, for health checks: the guard of ``sockets.dial``, on an event loop.

The host is resolved once, every answer is checked, and the checked address is the one that is dialled; TLS
checks the certificate for the host's name. A call sends one GET, follows no redirect, and reads no more than
it was asked for. ``http.client`` would take a thread for each call that is on its way; a thousand calls a
second cost a tenth this way. aiohttp and httpx resolve and dial by themselves, past the guard.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import ssl
from typing import cast

from django.conf import settings

from saga_project.shared.http_client import addresses, client, proxies, sockets, urls
from saga_project.shared.http_client.errors import AddressRefused, AnswerBroken, NoAnswer
from saga_project.shared.http_client.exchanges import Connection, KeptConnections
from saga_project.shared.http_client.urls import Url


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """``body`` is None unless it was asked for; the expiry is in seconds since 1970, of TLS only."""

    status: int
    body: bytes | None = None
    certificate_expires_at: float | None = None


async def fetch(
    url: Url,
    *,
    purpose: str,
    timeout_seconds: float,
    wants_body: bool,
    kept: KeptConnections | None = None,
) -> ProbeAnswer:
    """Send a GET and return the answer, whatever its status.

    With ``kept`` a connection of an earlier call is used where there is one, and this one is kept. A kept
    connection that ends without a byte of an answer is no finding: the server had closed it meanwhile.
    Raises AddressRefused, NoAnswer, TookTooLong, AnswerTooLarge, AnswerBroken.
    """
    with client.translated(purpose):
        async with asyncio.timeout(timeout_seconds):
            known = kept.take(url.origin) if kept is not None else None
            if kept is not None and known is not None:
                try:
                    return await _ask(known, url, wants_body=wants_body, kept=kept)
                except (NoAnswer, AnswerBroken):
                    if known.has_answered:
                        raise
            connection = await _dialled(url, purpose=purpose)
            if kept is not None:
                kept.own(connection, url.origin)
            return await _ask(connection, url, wants_body=wants_body, kept=kept)


async def _ask(
    connection: Connection, url: Url, *, wants_body: bool, kept: KeptConnections | None
) -> ProbeAnswer:
    head = _head(url, connection.route, is_kept=kept is not None)
    try:
        status, body = await connection.ask(head, wants_body=wants_body)
    except BaseException:  # cancelled as well
        connection.abort()
        if kept is not None:
            kept.drop(connection)
        raise
    if kept is None:
        connection.abort()
    else:
        connection.hand_to(kept)
    return ProbeAnswer(status, body, connection.certificate_expires_at)


async def _dialled(url: Url, *, purpose: str) -> Connection:
    for address in await _checked(url.host, url.port, purpose=purpose):
        connection = Connection(asyncio.get_running_loop(), purpose=purpose)
        try:
            transport = await _dial(connection, url, address, purpose=purpose)
        except (OSError, proxies.ProxyRefused) as exc:
            failure = exc
            continue
        connection.certificate_expires_at = _expiry_of(transport)
        return connection
    raise failure


@functools.lru_cache(maxsize=20_000)
def _head(url: Url, route: proxies.PlainRoute | None, *, is_kept: bool) -> bytes:
    fields = route.proxy.headers if route else {}
    login = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
    return (
        f"GET {route.before_path if route else ''}{url.target} HTTP/1.1\r\nHost: {url.authority}\r\n"
        f"User-Agent: Saga/{settings.SAGA_VERSION}\r\nAccept: */*\r\n{login}"
        f"Accept-Encoding: identity\r\nConnection: {'keep-alive' if is_kept else 'close'}\r\n\r\n"
    ).encode("ascii")


async def _dial(
    connection: Connection, url: Url, address: str, *, purpose: str
) -> asyncio.Transport:
    """Connect to a checked address of the host, through the proxy where there is one."""
    tls = sockets.tls() if url.scheme == "https" else None
    name = url.host if tls else None
    proxy = proxies.for_address(url.host, address)
    if proxy is None:
        return await _connect(
            connection, address, url.port, purpose=purpose, tls=tls, server_hostname=name
        )
    if not proxies.needs_tunnel(url):
        connection.route = proxies.PlainRoute(proxy, proxies.whole(url, address))
        return await proxies.dial(connection, proxy)
    return await proxies.connect(
        connection,
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
            for address in await _checked(host, port, purpose=purpose):
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


async def _checked(host: str, port: int, *, purpose: str) -> list[str]:
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
