"""npm and its mirrors: a package's name, with its scope if it has one."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from typing import Any

from updates.errors import SourceUnavailable
from updates.releases.sources import exchange
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://registry.npmjs.org"
_LOCATION = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*")


def ask(query: Query) -> Answer:
    """The whole document is asked for, as the short form has no times of publication."""
    if _LOCATION.fullmatch(query.location) is None or len(query.location) > 214:
        raise SourceUnavailable("The location must be the package's name.")
    document = exchange.get(
        f"{query.base_url or BASE_URL}/{urllib.parse.quote(query.location, safe='@')}",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    package = exchange.expect_object(document.content, "package")
    releases = exchange.expect_object(package.get("versions"), "versions")
    channels, times = _channels(package.get("dist-tags")), package.get("time")
    found = [
        _release(version, item, channels, times if isinstance(times, dict) else {})
        for version, item in releases.items()
        if exchange.version(version)
    ]
    return Answer(found=exchange.newest(found), validators=document.validators)


def _channels(tags: Any) -> dict[str, str]:
    """Return the dist-tag of each version that has one; ``latest`` says nothing, so it is left out."""
    named = tags.items() if isinstance(tags, dict) else ()
    return {
        version: tag
        for tag, version in named
        if tag != "latest" and isinstance(version, str) and len(tag) <= 64
    }


def _release(version: str, item: Any, channels: dict[str, str], times: dict[str, Any]) -> Found:
    item = exchange.expect_object(item, "version")
    dist = exchange.expect_object(item.get("dist", {}), "dist")
    return Found(
        version=version,
        artifact_url=exchange.url(dist.get("tarball")),
        checksum=_checksum(dist),
        published_at=exchange.moment(times.get(version)),
        channel=channels.get(version, ""),
        is_withdrawn=bool(item.get("deprecated")),
    )


def _checksum(dist: dict[str, Any]) -> str:
    """Return the digest of ``integrity`` (``sha512-<base64>``) in hexadecimal; SHA-1 proves nothing."""
    algorithm, _, encoded = exchange.text(dist.get("integrity"), limit=256).partition("-")
    if algorithm not in ("sha256", "sha384", "sha512"):
        return ""
    try:
        return f"{algorithm}:{base64.b64decode(encoded, validate=True).hex()}"
    except binascii.Error:
        return ""
