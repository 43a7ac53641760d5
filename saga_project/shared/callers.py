"""Where a call comes from: from this machine, or through a proxy.

Open mode serves local callers without a token. A proxy on this machine that speaks HTTP/1.1, keeps a loopback
``Host`` and adds no header cannot be distinguished from a local caller.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from django.conf import settings

_FORWARDING = frozenset({"forwarded", "via", "x-real-ip"})
_HOST = re.compile(r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(:[0-9]{1,5})?", re.ASCII)
_PORT = re.compile(r":[0-9]{1,5}", re.ASCII)


def is_local(*, peer: str, host: str, http_version: str, header_names: Iterable[str]) -> bool:
    """Return whether a program on this machine sent the request, without a proxy.

    ``peer`` is the address of the connection's other end, ``host`` the ``Host`` header, empty without one.
    ``header_names`` are in lower case.
    """
    return (
        http_version == "1.1"
        and is_local_peer(peer)
        and is_loopback_host(host)
        and not any(map(is_forwarding_header, header_names))
    )


def is_forwarding_header(name: str) -> bool:
    """Return whether a proxy adds this header (name in lower case)."""
    return name in _FORWARDING or name.startswith("x-forwarded-")


def is_local_peer(address: str) -> bool:
    """Return whether the connection's other end is on this machine and no trusted proxy."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback and not is_trusted_proxy(address)


def is_loopback_host(header: str) -> bool:
    """Return whether a ``Host`` header names this machine, with any port."""
    match = _HOST.fullmatch(header)
    if match is None:
        return False
    if match["name"] is not None and match["name"].lower() == "localhost":
        return True
    parsed = _parse(match["name"] or match["ipv6"])
    return parsed is not None and parsed.is_loopback


def is_trusted_proxy(address: str) -> bool:
    """Return whether ``SAGA_TRUSTED_PROXIES`` names the address."""
    parsed = _parse(address)
    networks = _networks(tuple(settings.SAGA_TRUSTED_PROXIES))
    return parsed is not None and any(parsed in network for network in networks)


def believe_proxy(scope: MutableMapping[str, Any]) -> None:
    """Give an ASGI request the client and scheme that a trusted proxy forwards.

    The client is the last address in ``X-Forwarded-For`` that is no trusted proxy.
    """
    peer = scope.get("client")
    if peer is None or not is_trusted_proxy(peer[0]):
        return
    chain: list[str] = []
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for":
            chain += value.decode("latin-1").split(",")
        elif name == b"x-forwarded-proto" and value in (b"http", b"https"):
            scope["scheme"] = value.decode("ascii")
    for text in reversed(chain):
        address = _address_in(text.strip())
        if address is None:
            return
        scope["client"] = (address, 0)
        if not is_trusted_proxy(address):
            return


def _address_in(text: str) -> str | None:
    """Return the address in one item of ``X-Forwarded-For``, without its port; None for other text."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
    else:
        address, colon, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
        port = colon + port
    if port and _PORT.fullmatch(port) is None:
        return None
    parsed = _parse(address)
    return None if parsed is None else str(parsed)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@functools.lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
