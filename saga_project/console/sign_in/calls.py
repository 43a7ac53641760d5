"""Calls to the provider: what allauth expects of a session of requests, over the guarded client.

The address guard checks each call, so a provider in a private network needs ``SAGA_ALLOWED_NETWORKS``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

import orjson
from allauth.socialaccount.providers.oauth2.client import OAuth2Error

from saga_project.shared import http_client
from saga_project.shared.errors import SagaError

TIMEOUT_SECONDS = 10.0


class BasicCredentials(Protocol):
    """The ``HTTPBasicAuth`` that allauth hands over."""

    username: str
    password: str


class ProviderAnswer:
    """An answer of the provider, as much of it as allauth reads."""

    def __init__(self, answer: http_client.Response) -> None:
        self.status_code = answer.status
        self.headers = {"content-type": "", **answer.headers}
        self.content = answer.body

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> dict[str, Any]:
        try:
            document = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            raise OAuth2Error("The provider's answer is not JSON.") from None
        if not isinstance(document, dict):
            raise OAuth2Error("The provider's answer is no JSON object.")
        return document

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise OAuth2Error(f"The provider answered with status {self.status_code}.")


class GuardedSession:
    """Stands where allauth expects ``requests.Session``; every fault is an OAuth2Error."""

    def __enter__(self) -> GuardedSession:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> ProviderAnswer:
        return self.request("GET", url, headers=headers)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: BasicCredentials | None = None,
    ) -> ProviderAnswer:
        if params:
            raise OAuth2Error("Secrets belong into the body of a call, not into its address.")
        sent = {"Accept": "application/json", **(headers or {})}
        body = None
        if data is not None:
            body = urlencode(data).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if auth is not None:
            sent["Authorization"] = _basic(auth)
        try:
            answer = http_client.request(
                method,
                url,
                purpose="provider",
                headers=sent,
                body=body,
                timeout_seconds=TIMEOUT_SECONDS,
                follow_redirects=2 if method == "GET" and "Authorization" not in sent else 0,
            )
        except SagaError as exc:
            raise OAuth2Error(exc.message) from exc
        return ProviderAnswer(answer)


def _basic(auth: BasicCredentials) -> str:
    """RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined."""
    pair = f"{quote_plus(auth.username)}:{quote_plus(auth.password)}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
