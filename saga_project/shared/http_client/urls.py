"""The syntax of URLs: one strict reading, which is the only one that is used."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import urllib.parse

from saga_project.shared import rules
from saga_project.shared.http_client.errors import InvalidUrl

MAX_URL_LENGTH = rules.MAX_URL_LENGTH
PORTS = {"http": 80, "https": 443}
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Url:
    """A URL with checked syntax, parsed once."""

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
    parse(text, field=field)


def masked(text: str) -> str:
    """Return where a URL leads, without its path and query: those of chat webhooks are credentials."""
    parts = urllib.parse.urlsplit(text)
    tail = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{tail}"


def parse(text: str, *, field: str) -> Url:
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
        return "%" not in host and address_of(host) is not None
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return str(address_of(host)) == host
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def address_of(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
