"""Connections that keep a deadline themselves, to addresses that were checked."""

from __future__ import annotations

import dataclasses
import functools
import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import certifi

from saga_project.shared.http_client import addresses, proxies, urls
from saga_project.shared.http_client.errors import AddressRefused, NoAnswer, TookTooLong
from saga_project.shared.http_client.urls import Url


class Deadline:
    """The time that an exchange has; with ``stall_seconds``, no single wait may take longer than that."""

    def __init__(self, seconds: float, *, purpose: str, stall_seconds: float = math.inf) -> None:
        self.purpose = purpose
        self.stall_seconds = stall_seconds
        self.ends_at = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds the next wait may take; raises TookTooLong where none are left."""
        seconds = self.ends_at - time.monotonic()
        if seconds <= 0:
            raise TookTooLong(f"The {self.purpose} URL did not answer in time.")
        return min(seconds, self.stall_seconds)


def resolve(url: Url, deadline: Deadline) -> list[tuple[Any, ...]]:
    """Return what the resolver says, as getaddrinfo does. A thread, because it knows no timeout."""
    answers: queue.SimpleQueue[list[tuple[Any, ...]] | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            answers.put(None)

    if urls.address_of(url.host) is not None:
        ask()
    else:
        threading.Thread(target=ask, name="saga-resolve", daemon=True).start()
    try:
        found = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TookTooLong(f"The {deadline.purpose} URL's host was not found in time.") from None
    if not found:
        raise NoAnswer(f"The {deadline.purpose} URL's host is not known.")
    return found


class _BoundedSocket(socket.socket):
    """Gives each system call only the time that the whole exchange has left."""

    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left())
        super().sendall(*args, **kwargs)


class _BoundedTLSSocket(ssl.SSLSocket):
    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().send(*args, **kwargs)


#: What presents this host's certificate to one server, by the server's host and port.
_presenting: dict[tuple[str, int], ssl.SSLContext] = {}


def present_certificate(server: str, *, certificate: str, key: str) -> None:
    """Have calls of this server, and of no other, present a certificate. Raises OSError for bad files."""
    url = urls.parse(server, field="server")
    context = _make_context()
    context.load_cert_chain(certificate, key)
    _presenting[url.host, url.port] = context


@functools.cache
def tls() -> ssl.SSLContext:
    return _make_context()


def _make_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _BoundedTLSSocket
    return context


def _bound(connection: ssl.SSLSocket, deadline: Deadline) -> ssl.SSLSocket:
    if not isinstance(connection, _BoundedTLSSocket):
        raise TypeError("The TLS context makes sockets without a deadline.")
    connection.deadline = deadline
    return connection


@dataclasses.dataclass(frozen=True)
class Line:
    """An open connection. Where a proxy answers on it, requests name the whole URL and carry its headers."""

    socket: socket.socket
    before_path: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)


def dial(url: Url, deadline: Deadline) -> Line:
    """Resolve once, check every address, and connect to the first allowed one that accepts."""
    if url.port in addresses.own_ports():
        raise AddressRefused(f"The {deadline.purpose} URL names a port that is never called.")
    answers = resolve(url, deadline)
    for answer in answers:
        addresses.evaluate(answer[4][0], purpose=deadline.purpose)
    for answer in answers:
        proxy = proxies.for_address(url.host, answer[4][0])
        try:
            if proxy is None:
                return Line(_wrap(_connect(answer, deadline), url, deadline))
            return _ask(proxy, url, answer[4][0], deadline)
        except (OSError, proxies.ProxyRefused) as exc:
            failure = exc
    raise failure


def _connect(answer: tuple[Any, ...], deadline: Deadline) -> socket.socket:
    family, kind, protocol, _, sockaddr = answer
    connection = _BoundedSocket(family, kind, protocol)
    connection.deadline = deadline
    try:
        connection.settimeout(deadline.left())
        connection.connect(sockaddr)
        if connection.getpeername()[0] != sockaddr[0]:
            raise AddressRefused(f"The {deadline.purpose} URL led to an unchecked address.")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _ask(proxy: proxies.Proxy, url: Url, address: str, deadline: Deadline) -> Line:
    """Return a connection to the checked address through the proxy, which the settings name."""
    connection = _reach(proxy, deadline)
    if not proxies.needs_tunnel(url):
        return Line(connection, proxies.whole(url, address), proxy.headers)
    try:
        proxies.open_tunnel(
            connection, proxy, address=address, port=url.port, purpose=deadline.purpose
        )
    except BaseException:
        connection.close()
        raise
    return Line(_wrap(connection, url, deadline))


def _reach(proxy: proxies.Proxy, deadline: Deadline) -> socket.socket:
    try:
        answers = resolve(proxy.url, deadline)
    except TookTooLong:
        raise
    except NoAnswer:
        raise proxies.ProxyRefused(proxies.UNREACHABLE) from None
    for answer in answers:
        try:
            return _connect(answer, deadline)
        except OSError:
            continue
    raise proxies.ProxyRefused(proxies.UNREACHABLE)


def _wrap(connection: socket.socket, url: Url, deadline: Deadline) -> socket.socket:
    if url.scheme == "http":
        return connection
    try:
        connection.settimeout(deadline.left())
        context = _presenting.get((url.host, url.port)) or tls()
        wrapped = context.wrap_socket(connection, server_hostname=url.host)
    except BaseException:
        connection.close()
        raise
    return _bound(wrapped, deadline)
