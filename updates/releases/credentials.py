"""Which headers an artifact's host wants: a credential of the host, or the token of the service's source.

They are for one host. The outgoing client sends them nowhere else: a redirect to another host goes without.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.db.models import F, Q

from registry.models import Service
from saga_project.shared import crypto, http_client
from updates import errors
from updates.models import Credential, Source
from updates.releases import sources
from updates.releases.sources import exchange, oci, registry_tokens
from updates.step_context import RegistryLogin

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", re.ASCII)
_RESERVED_HEADERS = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}
_LOCATED_BY_URL = {Source.Kind.JSON, Source.Kind.GIT, Source.Kind.S3}
_GITHUB_ASSET = re.compile(r"/repos/[^/]+/[^/]+/releases/assets/\d+")
PROBE_SECONDS = 20.0


def headers_for(url: str, *, service: Service) -> dict[str, str]:
    """Return what to send with the request for an artifact; raises SecretUnreadable, SourceUnavailable."""
    headers = {"Accept": "application/octet-stream"} if _is_github_asset(url) else {}
    credential = find(url, service=service)
    if credential is not None:
        _reject_disclosure(credential, url)
        return headers | _headers_of(credential, url)
    source = Source.objects.filter(service=service).exclude(sealed_token="").first()
    if source is not None and _origin(url) == _origin(_url_of(source)):
        headers |= _headers_of_source(source, url)
    return headers


def find(url: str, *, service: Service) -> Credential | None:
    """Return the credential of the URL's host; one of the service's own comes first."""
    rows = Credential.objects.filter(Q(service=service) | Q(service=None), host=host_of(url))
    return rows.order_by(F("service").asc(nulls_last=True)).first()


def login_for(reference: str, *, service: Service) -> RegistryLogin | None:
    """Return the login of an image's registry: a credential with a user name, or the service's source.

    Raises SecretUnreadable. None leaves it to what the engine knows by itself.
    """
    host = registry_of(reference)
    rows = Credential.objects.filter(
        Q(service=service) | Q(service=None), host=host, kind__in=_WITH_USER
    )
    credential = rows.order_by(F("service").asc(nulls_last=True)).first()
    if credential is not None:
        return RegistryLogin(host=host, username=credential.username, password=credential.secret)
    source = Source.objects.filter(service=service, kind=Source.Kind.OCI).exclude(sealed_token="")
    row = source.first()
    if row is None or host_of(_url_of(row)) != host_of(f"https://{host}"):
        return None
    username, colon, password = crypto.decrypt(row.sealed_token).partition(":")
    return RegistryLogin(host=host, username=username, password=password) if colon else None


_WITH_USER = (Credential.Kind.BASIC, Credential.Kind.REGISTRY)


def registry_of(reference: str) -> str:
    """Return the registry of an image as engines read it: the first part, where it looks like a host."""
    first, slash, _ = reference.removeprefix("docker://").partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first.lower() if is_host else "docker.io"


def _reject_disclosure(credential: Credential, url: str) -> None:
    """The URL is often a caller's, and must not make a secret go over the network in the clear."""
    host = urlsplit(url).hostname or ""
    address = http_client.address_of(host)
    is_here = host == "localhost" or (address is not None and address.is_loopback)
    if urlsplit(url).scheme != "https" and not is_here and not credential.is_http_allowed:
        raise errors.CredentialNotSent(
            f"The credential of {credential.host} is sent over https only; use an https URL, or allow http."
        )


def host_of(url: str) -> str:
    """Return the host as credentials name it: in lower case, without the port that the scheme implies."""
    parts = urlsplit(url)
    implied = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if parts.port in (None, implied) else f"{bracketed}:{parts.port}"


def fault(credential: Credential, *, secret: str) -> str | None:
    """Return why the credential cannot be used, None where it can."""
    try:
        http_client.check_url(f"https://{credential.host}/", field="host")
    except http_client.InvalidUrl as exc:
        return exc.message
    if host_of(f"https://{credential.host}/") != credential.host:
        return f"Write the host as {host_of(f'https://{credential.host}/')!r}, without a path."
    if credential.kind == Credential.Kind.HEADER and not _is_header(credential.header_name):
        return f"{credential.header_name!r} is no header that a credential can be sent in."
    needs_user = credential.kind in (Credential.Kind.BASIC, Credential.Kind.REGISTRY)
    if needs_user and (not credential.username or ":" in credential.username):
        return "This kind needs a user name without a colon."
    if not secret or not secret.isprintable() or not secret.isascii():
        return "The secret must be printable ASCII text."
    return None


def _is_header(name: str) -> bool:
    return bool(_HEADER.fullmatch(name)) and name.lower() not in _RESERVED_HEADERS


def _headers_of(credential: Credential, url: str) -> dict[str, str]:
    if credential.kind == Credential.Kind.HEADER:
        return {credential.header_name: credential.secret}
    if credential.kind == Credential.Kind.BEARER:
        return {"Authorization": f"Bearer {credential.secret}"}
    pair = f"{credential.username}:{credential.secret}"
    if credential.kind == Credential.Kind.REGISTRY:
        return _traded(pair, url)
    return {"Authorization": exchange.authorization(pair)}


def _headers_of_source(source: Source, url: str) -> dict[str, str]:
    token = crypto.decrypt(source.sealed_token)
    if source.kind == Source.Kind.OCI:
        return _traded(token, url)
    return {"Authorization": exchange.authorization(token)}


def _traded(pair: str, url: str) -> dict[str, str]:
    """Ask for the artifact without a password first: the registry's answer says where its tokens are."""
    answer = exchange.send(url, {}, at_most_seconds=PROBE_SECONDS, is_probe=True)
    if answer.status != 401:
        return {}
    origin = "{}://{}".format(*_origin(url))
    authorization = registry_tokens.trade(
        answer.headers.get("www-authenticate", ""),
        credentials=pair,
        registry=origin,
        send=lambda place, headers: exchange.send(place, headers, at_most_seconds=PROBE_SECONDS),
    )
    return {"Authorization": authorization}


def _url_of(source: Source) -> str:
    if source.kind in _LOCATED_BY_URL:
        return source.location
    if source.kind == Source.Kind.OCI and not source.base_url:
        return oci.base_url(source.location)
    return source.base_url or sources.BASE_URLS.get(source.kind, "")


def _origin(url: str) -> tuple[str, str]:
    return urlsplit(url).scheme, host_of(url)


def _is_github_asset(url: str) -> bool:
    """The API of GitHub describes an asset unless its bytes are asked for."""
    return bool(_GITHUB_ASSET.fullmatch(urlsplit(url).path.removeprefix("/api/v3")))
