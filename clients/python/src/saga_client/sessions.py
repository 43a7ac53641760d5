"""Call services by name with requests: ``session.get("saga://billing/invoices")``.

requests is no dependency of this library: install ``saga-client[requests]``, or have it anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import urllib3
from requests import adapters

from saga_client import addresses, client

#: requests renders ``params`` only into addresses that begin with "http".
_SCHEME = f"http+{addresses.SCHEME}"


class SagaSession(requests.Session):
    """A session of requests that knows ``saga://`` addresses; all others go out as they are.

    ``zone`` is preferred, and ``versions`` holds ranges by the service's name. An instance that takes no
    connection is replaced by another one, at most twice. Saga's token is sent to no service.
    """

    def __init__(
        self,
        saga: client.Saga,
        *,
        zone: str | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.mount(_SCHEME, _ServiceAdapter(addresses.Choice(saga, zone, versions or {})))

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        if isinstance(request.url, str) and addresses.is_address(request.url):
            request.url = f"http+{request.url}"
        return super().prepare_request(request)


class _ServiceAdapter(adapters.HTTPAdapter):
    """Sends a request for a service to one of its instances."""

    def __init__(self, choice: addresses.Choice) -> None:
        super().__init__()
        self._choice = choice

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **options: Any
    ) -> requests.Response:
        failure: Exception | None = None
        url = str(request.url).removeprefix("http+") if request.url else ""
        for address in self._choice.addresses_of(url):
            request.url = address
            try:
                return super().send(request, *arguments, **options)
            except requests.ConnectionError as exc:
                if not _is_unsent(exc):
                    raise
                failure = exc
        assert failure is not None  # noqa: S101 (there is an address, or NoInstance was raised)
        raise failure


def _is_unsent(exc: requests.ConnectionError) -> bool:
    """Return whether nothing was sent: another instance may be asked, whatever the method."""
    reason = getattr(exc.args[0], "reason", None) if exc.args else None
    return isinstance(
        reason,
        (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError),
    )
