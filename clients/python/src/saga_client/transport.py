"""HTTP to Saga: pooled connections, JSON, errors. Safe to use from several threads and after a fork.

urllib3 does the work: it is what requests stands on, and starts twice as fast.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from saga_client import errors, profiles, proxies

PREFIX = "/api/v1"
USER_AGENT = "saga-client/0.9.0"
CONNECT_SECONDS = 5.0


class Transport:
    """Calls of one address with one token; ``tls`` presents a certificate or trusts another authority.

    ``proxy`` is the URL of an outgoing proxy, empty for none; without it HTTPS_PROXY and NO_PROXY of the
    environment decide. ``prefix`` is where the routes are. Raises ValueError for an address that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
        prefix: str = PREFIX,
    ) -> None:
        self.url = profiles.clean_url(url)
        self._proxy = proxies.for_url(self.url, proxy)
        self._prefix = prefix
        self.timeout = timeout
        self._token = token
        self._tls = tls
        self._may_ask_local = token is None
        self._pool: urllib3.PoolManager | None = None
        self._pid = 0

    def use_token(self, token: str) -> None:
        """Send another token from the next call on."""
        self._token = token

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the JSON of an answer (None where it is empty); ``path`` begins after /api/v1.

        ``content`` is a body of bytes instead of JSON.
        Raises Unreachable, or the ApiError that the answer is.
        """
        sent = content if body is None else json.dumps(body).encode()
        if content is not None:
            headers = {"Content-Type": "application/octet-stream", **(headers or {})}
        with self.opened(
            method, path, query=query, body=sent, headers=headers, timeout=timeout
        ) as answer:
            text = self._read(answer)
        return _parsed(text)

    def text(self, path: str) -> str:
        """Return the text of a page beside the API, such as /metrics; errors are those of ``call``."""
        with self.opened("GET", path, prefix="") as answer:
            return self._read(answer).decode("utf-8", "replace")

    @contextlib.contextmanager
    def opened(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        prefix: str | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Return a successful answer, unread; errors are those of ``call``."""
        path = (self._prefix if prefix is None else prefix) + path
        answer = self._send(method, path, query, body, headers, timeout)
        if answer.status == 401 and self._may_ask_local:
            self._may_ask_local = False
            self._token = profiles.local_token(self.url)
            if self._token:
                _let_go(answer)
                answer = self._send(method, path, query, body, headers, timeout)
        try:
            if answer.status >= 300:
                text = self._read(answer)
                request_id = answer.headers.get("X-Request-ID")
                raise errors.of_answer(answer.status, _parsed(text), request_id=request_id)
            yield answer
        finally:
            _let_go(answer)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        timeout: float | None,
    ) -> urllib3.BaseHTTPResponse:
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        limits = urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout or self.timeout)
        # A read is repeated once: an idle connection that Saga closed meanwhile is no outage.
        retries: Any = urllib3.Retry(1, redirect=False, status=0) if method == "GET" else False
        try:
            return self._connections().request(
                method,
                self.url + path + _rendered(query),
                body=body,
                headers=sent,
                timeout=limits,
                retries=retries,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as exc:
            raise errors.Unreachable(f"Saga at {self.url} does not answer: {_reason(exc)}") from exc

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return answer.read()
        except urllib3.exceptions.HTTPError as exc:
            raise errors.Unreachable(f"Saga at {self.url} broke off its answer: {exc}") from exc

    def _connections(self) -> urllib3.PoolManager:
        """Return this process's pool: a connection that a fork shares would mix up answers."""
        if self._pool is None or self._pid != os.getpid():
            options: dict[str, Any] = {"maxsize": 8, "ssl_context": self._tls}
            self._pool = (
                proxies.manager(self._proxy, **options)
                if self._proxy
                else urllib3.PoolManager(**options)
            )
            self._pid = os.getpid()
        return self._pool


def _let_go(answer: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back; one whose answer was not read to its end is closed."""
    answer.close()
    answer.release_conn()


def segment(text: str) -> str:
    """Return a name as a part of a path."""
    return quote(text, safe="")


def _rendered(query: Mapping[str, Any] | None) -> str:
    present = {key: value for key, value in (query or {}).items() if value is not None}
    return f"?{urlencode(present, doseq=True)}" if present else ""


def _parsed(text: bytes) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _reason(exc: BaseException) -> str:
    inner = getattr(exc, "reason", None) or exc
    if isinstance(inner, urllib3.exceptions.ProxyError):
        return f"the outgoing proxy did not connect: {inner.original_error}"
    if isinstance(inner, urllib3.exceptions.NewConnectionError):
        return "the connection was refused or the host is unknown"
    if isinstance(inner, urllib3.exceptions.ConnectTimeoutError):
        return "the connection timed out"
    if isinstance(inner, urllib3.exceptions.ReadTimeoutError):
        return "the answer took too long"
    return str(inner)
