"""Call services by name with urllib3: ``pool.request("GET", "saga://billing/invoices")``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import urllib3

from saga_client import addresses, client

#: Nothing was sent yet: another instance may be asked, whatever the method.
_UNSENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


class ServicePool:
    """A pool of connections of urllib3 that knows ``saga://`` addresses; all others go out as they are.

    ``zone`` is preferred, and ``versions`` holds ranges by the service's name. Other options are those of
    urllib3.PoolManager. An instance that takes no connection is replaced by another one, at most twice.
    Saga's token is sent to no service.
    """

    def __init__(
        self,
        saga: client.Saga,
        *,
        zone: str | None = None,
        versions: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._choice = addresses.Choice(saga, zone, versions or {})
        self._options = options
        self._pool: urllib3.PoolManager | None = None
        self._pid = 0

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Return the answer; options and errors are those of urllib3, and NoInstance."""
        if not addresses.is_address(url):
            return self._connections().request(method, url, **options)
        options.setdefault("retries", urllib3.Retry(None, connect=0, read=0, redirect=5, status=0))
        failure: Exception | None = None
        for address in self._choice.addresses_of(url):
            try:
                return self._connections().request(method, address, **options)
            except urllib3.exceptions.MaxRetryError as exc:
                if not isinstance(exc.reason, _UNSENT):
                    raise
                failure = exc
            except _UNSENT as exc:  # with retries=False
                failure = exc
        assert failure is not None  # noqa: S101 (there is an address, or NoInstance was raised)
        raise failure

    def _connections(self) -> urllib3.PoolManager:
        """Return this process's pool: a connection that a fork shares would mix up answers."""
        if self._pool is None or self._pid != os.getpid():
            self._pool = urllib3.PoolManager(**self._options)
            self._pid = os.getpid()
        return self._pool
