"""Trade a registry's challenge for a token, as ``docker login`` does."""

from __future__ import annotations

import base64
import re
import urllib.parse
from collections.abc import Callable

from saga_project.shared import http_client
from updates.errors import SourceUnavailable
from updates.releases.sources import exchange

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
Send = Callable[[str, dict[str, str]], http_client.Response]


def trade(challenge: str, *, credentials: str, registry: str, send: Send) -> str:
    """Return the ``Authorization`` that answers a challenge; ``credentials`` is ``user:password`` or empty.

    ``registry`` is the origin that the credentials are for.
    """
    basic = base64.b64encode(credentials.encode()).decode("ascii")
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return f"Basic {basic}"
    fields = dict(_CHALLENGE.findall(rest))
    realm = exchange.url(fields.get("realm", ""))
    if scheme.lower() != "bearer" or not realm:
        raise SourceUnavailable("The source wants an authorization that we do not know.")
    wanted = {name: fields[name] for name in ("service", "scope") if name in fields}
    headers = {"Accept": "application/json"}
    if credentials:
        _reject_disclosure(realm, registry)
        headers["Authorization"] = f"Basic {basic}"
    answer = send(f"{realm}?{urllib.parse.urlencode(wanted)}", headers)
    if answer.status != 200:
        raise exchange.refusal(answer)
    grant = exchange.expect_object(exchange.read(answer.body), "token")
    token = exchange.text(grant.get("token") or grant.get("access_token"), limit=16384)
    return f"Bearer {token}"


def _reject_disclosure(realm: str, registry: str) -> None:
    """A password goes over TLS, or back to the server that it was given for."""
    if not realm.startswith(("https://", f"{registry}/")):
        raise SourceUnavailable("The source wants our password sent in the clear.")
