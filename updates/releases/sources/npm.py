"""npm and its mirrors: a package's name, with its scope if it has one.

The dist-tag ``latest`` rules: what is newer is offered to policies that name its channel, such as ``next``.
The abbreviated document is asked for, since the full one of a large package has 100 MB; only a policy with a
minimum age needs the full one, which has the times of publication. Both are read while they arrive.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from typing import Any

from saga_project.shared import strict_json, versions
from updates.releases.sources import exchange, pages, shapes, streams
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://registry.npmjs.org"
ABBREVIATED = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
SHAPE = shapes.Shape(
    location=re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*"),
    reads_as="the package's name",
    max_length=214,
)
#: A manifest's dependencies, scripts and readme are passed over, so that they never pile up.
_WANTED: streams.Wanted = {
    "dist-tags": {streams.ANY: streams.SCALAR},
    "time": {streams.ANY: streams.SCALAR},
    "versions": {
        streams.ANY: {
            "deprecated": streams.SCALAR,
            "dist": {"tarball": streams.SCALAR, "integrity": streams.SCALAR},
        }
    },
}


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    document = streams.get(
        f"{query.base_url or BASE_URL}/{urllib.parse.quote(query.location, safe='@')}",
        accept="application/json" if query.needs_times else ABBREVIATED,
        authorization=exchange.authorization(query.token),
        validators=query.validators,
        wanted=_WANTED,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    package = exchange.expect_object(document.content, "package")
    manifests = exchange.expect_object(package.get("versions"), "versions")
    times = package.get("time")
    found = _Reader(
        tags=_tags(package.get("dist-tags")), times=times if isinstance(times, dict) else {}
    ).read(manifests)
    return pages.listing(found, validators=document.validators)


def _tags(tags: Any) -> dict[str, str]:
    named = tags.items() if isinstance(tags, dict) else ()
    return {
        exchange.text(tag, limit=64): version
        for tag, version in named
        if isinstance(version, str) and strict_json.is_clean(tag)
    }


class _Reader:
    """Reads the manifests of a package with its dist-tags and times."""

    def __init__(self, *, tags: dict[str, str], times: dict[str, Any]) -> None:
        self._latest = tags.get("latest")
        self._channels = {version: tag for tag, version in tags.items() if tag != "latest"}
        self._times = times

    def read(self, manifests: dict[str, Any]) -> list[Found]:
        has_latest = self._latest in manifests
        return [
            self._release(version, item, has_latest=has_latest)
            for version, item in manifests.items()
            if exchange.version(version)
        ]

    def _release(self, version: str, item: Any, *, has_latest: bool) -> Found:
        item = exchange.expect_object(item, "version")
        dist = exchange.expect_object(item.get("dist", {}), "dist")
        is_above = has_latest and versions.is_newer(version, than=self._latest or version)
        return Found(
            version=version,
            artifact_url=exchange.url(dist.get("tarball")),
            checksum=_checksum(dist),
            published_at=exchange.moment(self._times.get(version)),
            channel=self._channels.get(version, ""),
            needs_channel=is_above,
            is_withdrawn=bool(item.get("deprecated")),
        )


def _checksum(dist: dict[str, Any]) -> str:
    """Return the digest of ``integrity`` (``sha512-<base64>``) in hexadecimal; SHA-1 proves nothing."""
    algorithm, _, encoded = exchange.text(dist.get("integrity"), limit=256).partition("-")
    if algorithm not in ("sha256", "sha384", "sha512"):
        return ""
    try:
        return f"{algorithm}:{base64.b64decode(encoded, validate=True).hex()}"
    except (binascii.Error, ValueError):
        return ""
