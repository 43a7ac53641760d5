"""Which addresses may be dialled."""

from __future__ import annotations

import functools
import ipaddress

from django.conf import settings

from saga_project.shared import redis_urls
from saga_project.shared.http_client.errors import AddressRefused

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
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_LOOPBACK_V6 = ipaddress.IPv6Address("::1")
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_COMPATIBLE_V6 = ipaddress.IPv6Network("::/96")


@functools.lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _is_in(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def own_ports() -> set[int]:
    """Return the ports of Saga's own PostgreSQL and Redis, which no request may reach."""
    database = settings.DATABASES["default"].get("PORT")
    return {int(database or 5432), *redis_urls.ports_of(settings.REDIS_URL)}


def _is_public(address: IPAddress) -> bool:
    """Return whether any host may be at the address; in IPv6 only 2000::/3 is given out to hosts."""
    return address.is_global and (address.version == 4 or address in _UNICAST_V6)


def evaluate(text: str, *, purpose: str) -> None:
    """Raise AddressRefused unless this address may be dialled."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _COMPATIBLE_V6 and address != _LOOPBACK_V6:
            raise AddressRefused(f"The {purpose} URL leads to an address that is never called.")
    if _is_in(address, NEVER) or address.is_multicast:
        raise AddressRefused(f"The {purpose} URL leads to an address that is never called.")
    if not _is_public(address) and not _is_in(
        address, _networks(tuple(settings.SAGA_ALLOWED_NETWORKS))
    ):
        raise AddressRefused(
            f"The {purpose} URL leads into a network that SAGA_ALLOWED_NETWORKS does not name."
        )
