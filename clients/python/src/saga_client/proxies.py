"""The outgoing proxy of a call: that of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, but for NO_PROXY.

The variables mean what they mean to curl; loopback addresses are never asked of a proxy. urllib.request reads
them as well, but knows no networks in NO_PROXY.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

import urllib3


def of_environment(scheme: str) -> tuple[str, list[str]]:
    """Return the proxy for ``http`` or ``https``, empty without one, and what is called without it."""
    url = _variable(f"{scheme}_proxy") or _variable("all_proxy")
    exceptions = _variable("no_proxy").replace(",", " ").split()
    return (f"http://{url}" if url and "://" not in url else url), exceptions


def _variable(name: str) -> str:
    is_of_a_request = name == "http_proxy" and "REQUEST_METHOD" in os.environ  # CGI's header Proxy
    upper = "" if is_of_a_request else os.environ.get(name.upper(), "")
    return (os.environ.get(name) or upper).strip()


def for_url(url: str, proxy: str | None, exceptions: Iterable[str] = ()) -> str:
    """Return the proxy for an address, empty for none; ``proxy`` None stands for the environment's.

    Raises ValueError for a proxy that speaks no HTTP, such as one of SOCKS.
    """
    parts = urlsplit(url)
    if proxy is None:
        proxy, exceptions = of_environment(parts.scheme)
    host = (parts.hostname or "").lower()
    if not proxy or _is_excepted(host, exceptions):
        return ""
    scheme, _, place = proxy.partition("://")
    if scheme not in ("http", "https") or not place:
        raise ValueError(
            f"The outgoing proxy is of '{scheme}', which cannot be used; its address begins with http://."
        )
    return proxy


def _is_excepted(host: str, exceptions: Iterable[str]) -> bool:
    """Names stand for themselves and what is below them; addresses may be in networks."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for text in exceptions:
        if text == "*":
            return True
        try:
            network = ipaddress.ip_network(text.strip("[]"), strict=False)
        except ValueError:
            name = text.lower().lstrip("*").strip(".")
            if name and f".{host}".endswith(f".{name}"):
                return True
        else:
            if address is not None and address.version == network.version and address in network:
                return True
    return False


def manager(proxy: str, **options: object) -> urllib3.ProxyManager:
    """Return a pool through the proxy, with the login of its URL. Raises ValueError for no http(s) URL."""
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"'{parts.scheme}://…' is no proxy that can be used: it begins with http://."
        )
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers = {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"}
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    address = f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)  # type: ignore[arg-type]
