"""The one guarded HTTP client: every call that Saga itself makes goes through it.

The syntax of a URL is judged when it is stored (``check_url``), its addresses when they are dialled: the
host is resolved once, every answer is judged, and the address that was judged is the one that is dialled.
Proxy variables and netrc are ignored, each redirect is judged again, and an error names the rule that
was broken, never the address behind a name.

It stands on ``http.client`` because a socket can be handed to it: a deadline that the socket itself
keeps bounds the whole call, also where a server drips its headers byte by byte.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import certifi
from django.conf import settings

from saga_project import errors

MAX_URL_LENGTH = 2048
MAX_ANSWER_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# Refused whatever SAGA_ALLOWED_NETWORKS says: cloud metadata, what is no single host, and the IPv6
# ranges that carry an IPv4 address inside, which ``is_global`` calls public.
NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_LOOPBACK_V6 = ipaddress.IPv6Address("::1")
_COMPATIBLE_V6 = ipaddress.IPv6Network("::/96")

_REFUSED_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class InvalidUrl(errors.InvalidRequest):
    error = "Invalid service URL"


class AddressRefused(errors.InvalidRequest):
    error = "Address refused"


class NoAnswer(errors.Unavailable):
    error = "No answer"


class TookTooLong(NoAnswer):
    error = "No answer in time"


class AnswerTooLarge(errors.Unavailable):
    error = "Answer too large"


class AnswerBroken(errors.Unavailable):
    error = "Answer broken"


class TooManyRedirects(errors.Unavailable):
    error = "Too many redirects"


class DownloadFailed(errors.Unavailable):
    error = "Download failed"

    def __init__(self, message: str, *, answer_status: int) -> None:
        super().__init__(message)
        self.answer_status = answer_status


# --- URLs -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Url:
    """A URL whose syntax was judged, in the only reading of it that is used."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def check_url(text: str, *, field: str = "url") -> None:
    """Raise InvalidUrl unless ``text`` is an http(s) URL that we would ever try to call."""
    _parse(text, field=field)


def _parse(text: str, *, field: str) -> Url:
    def refuse(reason: str) -> InvalidUrl:
        return InvalidUrl(f"'{field}' {reason}.", field=field)

    if len(text) > MAX_URL_LENGTH:
        raise refuse(f"has more than {MAX_URL_LENGTH:,} characters")
    if _REFUSED_CHARACTERS.search(text):
        raise refuse("has spaces, backslashes or control characters")
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
        target = _target(parts)
    except ValueError:
        raise refuse("is not a URL") from None
    if parts.scheme not in PORTS:
        raise refuse("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise refuse("must not carry credentials")
    if not parts.hostname:
        raise refuse("names no host")
    if port == 0 or parts.netloc.endswith(":"):
        raise refuse("has a port that does not exist")
    if not _is_host(parts.hostname, is_bracketed=parts.netloc.startswith("[")):
        raise refuse("has a host that is neither a plain ASCII name nor a plain address")
    return Url(parts.scheme, parts.hostname, port or PORTS[parts.scheme], target)


def _target(parts: urllib.parse.SplitResult) -> str:
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?[]")
    return f"{path}?{query}" if query else path


def _is_host(host: str, *, is_bracketed: bool) -> bool:
    """Accept names and canonical addresses; ``127.1``, ``0x7f.1``, ``2130706433`` and ``①`` are neither."""
    if is_bracketed:
        return "%" not in host and _address(host) is not None
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return str(_address(host)) == host
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _address(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


# --- Addresses ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _is_in(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _own_ports() -> set[int]:
    """Return the ports of Saga's own PostgreSQL and Redis, which nobody may have us speak to."""
    database = settings.DATABASES["default"].get("PORT")
    redis = urllib.parse.urlsplit(settings.REDIS_URL)
    return {int(database or 5432), redis.port or 6379}


def _judge(text: str, *, purpose: str) -> None:
    """Raise AddressRefused unless this address may be dialled."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _COMPATIBLE_V6 and address != _LOOPBACK_V6:
            raise AddressRefused(f"The {purpose} URL leads to an address that is never called.")
    if _is_in(address, NEVER) or address.is_multicast:
        raise AddressRefused(f"The {purpose} URL leads to an address that is never called.")
    if not address.is_global and not _is_in(
        address, _networks(tuple(settings.SAGA_ALLOWED_NETWORKS))
    ):
        raise AddressRefused(
            f"The {purpose} URL leads into a network that SAGA_ALLOWED_NETWORKS does not name."
        )


class _Deadline:
    def __init__(self, seconds: float, *, purpose: str) -> None:
        self.purpose = purpose
        self.ends_at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; raises TookTooLong where none are."""
        seconds = self.ends_at - time.monotonic()
        if seconds <= 0:
            raise TookTooLong(f"The {self.purpose} URL did not answer in time.")
        return seconds


def _resolve(url: Url, deadline: _Deadline) -> list[tuple[Any, ...]]:
    """Return what the resolver says, as getaddrinfo does. A thread, because it knows no timeout."""
    answers: queue.SimpleQueue[list[tuple[Any, ...]] | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            answers.put(None)

    if _address(url.host) is not None:
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


# --- Sockets --------------------------------------------------------------------------------------


class _BoundedSocket(socket.socket):
    """Gives each system call only the time that the whole exchange has left."""

    deadline: _Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left())
        super().sendall(*args, **kwargs)


class _BoundedTLSSocket(ssl.SSLSocket):
    deadline: _Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().send(*args, **kwargs)


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _BoundedTLSSocket
    return context


def _bound(connection: ssl.SSLSocket, deadline: _Deadline) -> ssl.SSLSocket:
    if not isinstance(connection, _BoundedTLSSocket):
        raise TypeError("The TLS context makes sockets without a deadline.")
    connection.deadline = deadline
    return connection


def _dial(url: Url, deadline: _Deadline) -> socket.socket:
    """Resolve once, judge every answer, and connect to the first judged one that takes the call."""
    if url.port in _own_ports():
        raise AddressRefused(f"The {deadline.purpose} URL names a port that is never called.")
    answers = _resolve(url, deadline)
    for answer in answers:
        _judge(answer[4][0], purpose=deadline.purpose)
    for family, kind, protocol, _, sockaddr in answers:
        connection = _BoundedSocket(family, kind, protocol)
        connection.deadline = deadline
        try:
            connection.settimeout(deadline.left())
            connection.connect(sockaddr)
            if connection.getpeername()[0] != sockaddr[0]:
                raise AddressRefused(f"The {deadline.purpose} URL led to an unchecked address.")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _wrap(connection, url, deadline)
        except OSError as exc:
            connection.close()
            failure = exc
        except BaseException:
            connection.close()
            raise
    raise failure


def _wrap(connection: socket.socket, url: Url, deadline: _Deadline) -> socket.socket:
    if url.scheme == "http":
        return connection
    connection.settimeout(deadline.left())
    wrapped = _tls().wrap_socket(connection, server_hostname=url.host)
    return _bound(wrapped, deadline)


# --- Exchanges ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer; header names are in lower case, the body is as it came (never decompressed)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_truncated: bool = False


@dataclasses.dataclass(frozen=True)
class Download:
    """A successful answer whose body is still to be read; ``size`` is what it declared, if anything."""

    headers: Mapping[str, str]
    size: int | None
    chunks: Iterator[bytes]


@contextlib.contextmanager
def _translated(purpose: str) -> Iterator[None]:
    """Say in our words what failed on the network; nothing of the URL or the headers is in them."""
    try:
        yield
    except TimeoutError:
        raise TookTooLong(f"The {purpose} URL did not answer in time.") from None
    except ssl.SSLCertVerificationError:
        raise NoAnswer(f"The {purpose} URL's certificate cannot be trusted.") from None
    except http.client.RemoteDisconnected:
        raise NoAnswer(f"The {purpose} URL closed the connection without an answer.") from None
    except http.client.HTTPException:
        raise AnswerBroken(f"The {purpose} URL's answer is not HTTP, or was cut short.") from None
    except OSError:
        raise NoAnswer(f"The {purpose} URL could not be reached.") from None
    except ValueError:
        # http.client quotes the header that it refuses, and a header may be a secret.
        raise errors.InvalidRequest(
            f"A header for the {purpose} URL has characters that HTTP does not allow."
        ) from None


def _send(
    method: str, url: Url, headers: Mapping[str, str], body: bytes | None, deadline: _Deadline
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(url.host, url.port)
    connection.auto_open = 0
    own = {
        "Host": url.authority,
        "User-Agent": f"Saga/{settings.SAGA_VERSION}",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    try:
        with _translated(deadline.purpose):
            connection.sock = _dial(url, deadline)
            connection.request(method, url.target, body, {**own, **headers})
            return connection, connection.getresponse()
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    follow_redirects: int,
    deadline: _Deadline,
) -> Iterator[http.client.HTTPResponse]:
    """Yield the answer, its body unread; follows redirects of GET and HEAD, each judged from scratch."""
    here, sent = _parse(url, field=f"{deadline.purpose} URL"), dict(headers)
    for hop in range(follow_redirects + 1):
        connection, answer = _send(method, here, sent, body, deadline)
        with contextlib.closing(connection), contextlib.closing(answer):
            place = answer.headers.get("Location")
            is_followed = follow_redirects > 0 and method in {"GET", "HEAD"}
            if answer.status not in REDIRECTS or place is None or not is_followed:
                yield answer
                return
            if hop == follow_redirects:
                break
        there = _parse(_join(here, place), field="redirect")
        if here.scheme == "https" and there.scheme == "http":
            raise InvalidUrl(f"The {deadline.purpose} URL redirects from https to http.")
        if there.origin != here.origin:
            # What was meant for one host is not told to another.
            sent = {name: sent[name] for name in sent if name.lower() in {"accept", "range"}}
        here = there
    raise TooManyRedirects(f"The {deadline.purpose} URL redirects too often.")


def _join(here: Url, place: str) -> str:
    try:
        return urllib.parse.urljoin(str(here), place)
    except ValueError:
        raise InvalidUrl("'redirect' is not a URL.", field="redirect") from None


def _chunks(
    answer: http.client.HTTPResponse, *, max_bytes: int, purpose: str, size: int
) -> Iterator[bytes]:
    """Yield the body; one that is longer than allowed or shorter than declared raises before its end."""
    declared, received = answer.length, 0
    too_large = AnswerTooLarge(f"The {purpose} URL's answer has more than {max_bytes:,} bytes.")
    if declared is not None and declared > max_bytes:
        raise too_large
    while True:
        with _translated(purpose):
            chunk = answer.read(size)
        if not chunk:
            break
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk
    if declared is not None and received != declared:
        raise AnswerBroken(f"The {purpose} URL's answer was cut short.")


def _headers(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def request(
    method: str,
    url: str,
    *,
    purpose: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float = 10.0,
    max_bytes: int = MAX_ANSWER_BYTES,
    truncate: bool = False,
    follow_redirects: int = 0,
) -> Response:
    """Make one call, bounded in time from the look-up of the host to the last byte of the answer.

    ``purpose`` is the word that errors use for the URL ("artifact", "callback"). Any status is an answer.
    With ``truncate``, no more than ``max_bytes`` are read and what happens to the rest is no error.
    Raises InvalidUrl, AddressRefused, NoAnswer, TookTooLong, AnswerTooLarge, AnswerBroken, TooManyRedirects.
    """
    deadline = _Deadline(timeout_seconds, purpose=purpose)
    with _exchange(
        method,
        url,
        headers=headers or {},
        body=body,
        follow_redirects=follow_redirects,
        deadline=deadline,
    ) as answer:
        if truncate:
            return _beginning(answer, max_bytes)
        parts = _chunks(answer, max_bytes=max_bytes, purpose=purpose, size=CHUNK_BYTES)
        return Response(answer.status, _headers(answer), b"".join(parts))


def _beginning(answer: http.client.HTTPResponse, max_bytes: int) -> Response:
    received = b""
    with contextlib.suppress(errors.SagaError, OSError, http.client.HTTPException):
        while len(received) < max_bytes and (chunk := answer.read1(max_bytes - len(received))):
            received += chunk
    is_complete = answer.isclosed() or answer.length == 0
    return Response(answer.status, _headers(answer), received, is_truncated=not is_complete)


@contextlib.contextmanager
def download(
    url: str,
    *,
    purpose: str,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 600.0,
    follow_redirects: int = 5,
) -> Iterator[Download]:
    """Yield the body of a 200 in chunks; raises as ``request`` does, and DownloadFailed for any other status.

    Whoever reads ``chunks`` to their end has the whole body: one that was cut short raises before.
    """
    deadline = _Deadline(timeout_seconds, purpose=purpose)
    with _exchange(
        "GET",
        url,
        headers=headers or {},
        body=None,
        follow_redirects=follow_redirects,
        deadline=deadline,
    ) as answer:
        if answer.status != 200:
            raise DownloadFailed(
                f"The {purpose} URL answered {answer.status}.", answer_status=answer.status
            )
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise AnswerBroken(f"The {purpose} URL compresses its answer although asked not to.")
        chunks = _chunks(answer, max_bytes=max_bytes, purpose=purpose, size=CHUNK_BYTES)
        yield Download(_headers(answer), answer.length, chunks)
