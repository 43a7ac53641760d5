"""The outgoing proxy of ``SAGA_HTTP_PROXY``: which calls go through it, and how it is asked.

The guard comes first: the host is resolved and checked here, and the proxy is asked for the checked address,
never for a name, so that what the proxy's own resolver says cannot lead a call elsewhere. Certificates are
checked for the name of the URL. A call is a tunnel (CONNECT), by plain http as well: of a request with the
whole URL a proxy keeps the host of the URL, here the address, and drops ``Host`` (RFC 9112, 3.2.2). Only
where the URL names the address itself is a plain call such a request, which more proxies allow.
Loopback addresses are those of this machine, and are never asked of another one.

urllib3 and httpx know proxies, but give them the name.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import functools
import http.client
import ipaddress
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import cast

from django.conf import settings

from saga_project.shared.http_client import urls
from saga_project.shared.http_client.errors import NoAnswer
from saga_project.shared.http_client.urls import Url

MAX_HEAD_BYTES = 64 * 1024
LOGIN_WANTED = 407
LOGIN_REFUSED = "The outgoing proxy refuses the login of SAGA_HTTP_PROXY."
UNREACHABLE = "The outgoing proxy of SAGA_HTTP_PROXY could not be reached."
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyRefused(NoAnswer):
    """The proxy answered, and did not connect; another address of the host may be luckier."""


@dataclasses.dataclass(frozen=True)
class Proxy:
    """``authorization`` is the value of Proxy-Authorization, empty where the proxy asks for none."""

    url: Url
    authorization: str = dataclasses.field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


@dataclasses.dataclass(frozen=True)
class PlainRoute:
    """How a plain call asks the proxy: each request names the checked address before its path."""

    proxy: Proxy
    before_path: str


@functools.lru_cache(maxsize=8)
def read(text: str) -> Proxy:
    """Return the proxy of a URL such as ``http://user:password@proxy.example:3128``."""
    parts = urllib.parse.urlsplit(text)
    login = ""
    if parts.username is not None:
        user, password = (
            urllib.parse.unquote(each or "") for each in (parts.username, parts.password)
        )
        login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return Proxy(Url("http", parts.hostname or "", parts.port or 80, "/"), login)


def for_address(host: str, address: str) -> Proxy | None:
    """Return the proxy through which this checked address of the host is called; None to dial it."""
    if not settings.SAGA_HTTP_PROXY:
        return None
    plain = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(plain, ipaddress.IPv6Address) and plain.ipv4_mapped is not None:
        plain = plain.ipv4_mapped
    if plain.is_loopback:
        return None
    networks, names = _exceptions(tuple(settings.SAGA_NO_PROXY))
    if any(plain.version == each.version and plain in each for each in networks):
        return None
    if any(name == "*" or f".{host}".endswith(f".{name}") for name in names):
        return None
    return read(settings.SAGA_HTTP_PROXY)


@functools.lru_cache(maxsize=8)
def _exceptions(texts: tuple[str, ...]) -> tuple[list[IPNetwork], list[str]]:
    """Return the networks, and the names: each stands for itself and for what is below it."""
    networks: list[IPNetwork] = []
    names = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text.strip("[]"), strict=False))
        except ValueError:
            names.append(text.lower().removeprefix("*.").lstrip("."))
    return networks, names


def authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def needs_tunnel(url: Url) -> bool:
    """Return whether a call must be a tunnel, so that its server learns the name that was called."""
    return url.scheme == "https" or urls.address_of(url.host) is None


def whole(url: Url, address: str) -> str:
    """Return what a request to the proxy names before the path: the checked address."""
    return f"http://{authority(address, url.port)}"


def check_status(status: int) -> None:
    """Raise ProxyRefused where a plain call was answered by the proxy, for want of a login."""
    if status == LOGIN_WANTED:
        raise ProxyRefused(LOGIN_REFUSED)


def _check_tunnel(status: int, *, port: int, purpose: str) -> None:
    check_status(status)
    if not 200 <= status < 300:
        raise ProxyRefused(
            f"The outgoing proxy answered {status} instead of connecting to the {purpose} URL;"
            f" it must allow CONNECT to port {port}."
        )


def _request(proxy: Proxy, target: str) -> bytes:
    fields: Mapping[str, str] = {
        "Host": target,
        "User-Agent": f"Saga/{settings.SAGA_VERSION}",
        **proxy.headers,
    }
    lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def open_tunnel(
    connection: socket.socket, proxy: Proxy, *, address: str, port: int, purpose: str
) -> None:
    """Ask the proxy at the other end for a tunnel to a checked address. Raises ProxyRefused."""
    connection.sendall(_request(proxy, authority(address, port)))
    answer = http.client.HTTPResponse(connection, method="CONNECT")
    try:
        answer.begin()
    except http.client.HTTPException:
        raise ProxyRefused("The outgoing proxy's answer is not HTTP.") from None
    finally:
        answer.close()
    _check_tunnel(answer.status, port=port, purpose=purpose)


class _Asking(asyncio.Protocol):
    """Waits for the head of the proxy's answer; ``done`` is its status."""

    def __init__(self, loop: asyncio.AbstractEventLoop, question: bytes) -> None:
        self.done: asyncio.Future[int] = loop.create_future()
        self._question = question
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._question)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.done.done():
            return
        if b"\r\n\r\n" in self._head:
            words = self._head.split(b"\r\n", 1)[0].split(b" ", 2)
            is_status = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
            self.done.set_result(int(words[1][:3]) if is_status else 0)
        elif len(self._head) > MAX_HEAD_BYTES:
            self.done.set_result(0)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(0)


async def dial(protocol: asyncio.Protocol, proxy: Proxy) -> asyncio.Transport:
    """Connect to the proxy itself. Raises ProxyRefused."""
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_connection(
            lambda: protocol, proxy.url.host, proxy.url.port
        )
    except OSError:
        raise ProxyRefused(UNREACHABLE) from None
    return transport


async def connect(
    protocol: asyncio.Protocol,
    proxy: Proxy,
    *,
    address: str,
    port: int,
    purpose: str,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> asyncio.Transport:
    """Give ``protocol`` a tunnel to a checked address, encrypted with ``tls``. Raises ProxyRefused."""
    loop = asyncio.get_running_loop()
    question = _request(proxy, authority(address, port))
    asking = _Asking(loop, question)
    transport = await dial(asking, proxy)
    try:
        status = await asking.done
        if not status:
            raise ProxyRefused("The outgoing proxy's answer is not HTTP.")
        _check_tunnel(status, port=port, purpose=purpose)
        transport.set_protocol(protocol)
        opened: asyncio.Transport | None = transport
        if tls is not None:
            opened = await loop.start_tls(transport, protocol, tls, server_hostname=server_hostname)
        if opened is None:
            raise ConnectionResetError
        protocol.connection_made(opened)
    except BaseException:
        transport.abort()
        raise
    return opened
