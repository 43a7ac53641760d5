"""Gems of RubyGems.org and of servers with its API: a gem's name.

Option: ``platform`` (default ``ruby``, the gem for every platform).
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from updates.releases.sources import exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://rubygems.org"
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"),
    reads_as="the gem's name",
    options=("platform",),
)


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    base_url = query.base_url or BASE_URL
    # RubyGems takes an API key as it is, without a scheme.
    is_pair = ":" in query.token
    document = exchange.get(
        f"{base_url}/api/v1/versions/{query.location}.json",
        authorization=exchange.authorization(query.token) if is_pair else query.token,
        validators=query.validators,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    items = exchange.expect_list(document.content, "list of versions")
    platform = exchange.text(query.options.get("platform", "")) or "ruby"
    gem = f"{base_url}/gems/{query.location}"
    found = [release for item in items if (release := _release(item, gem, platform))]
    return pages.listing(found, validators=document.validators)


def _release(item: Any, gem: str, platform: str) -> Found | None:
    """Return one version; None where it is for another platform."""
    item = exchange.expect_object(item, "version")
    version = exchange.version(item.get("number"))
    if version is None or (item.get("platform") or "ruby") != platform:
        return None
    digest = exchange.text(item.get("sha"), limit=64)
    suffix = "" if platform == "ruby" else f"-{platform}"
    return Found(
        version=version,
        artifact_url=exchange.url(f"{gem}-{urllib.parse.quote(version + suffix, safe='')}.gem"),
        checksum=f"sha256:{digest}" if digest else "",
        published_at=exchange.moment(item.get("created_at")),
        notes=exchange.prose(item.get("summary")),
        is_prerelease=item.get("prerelease") is True,
    )
