"""GitHub releases: ``owner/repository``.

Options: ``asset`` (a glob for the file), ``tag_prefix``, ``tag_pattern``. What the repository's webhook sends
is read by the same function as what the API lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from updates.releases.sources import assets, exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://api.github.com"
PAGE_SIZE = 100
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}"),
    reads_as="owner/repository",
    options=("asset", *shapes.TAGS),
)


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    reader = pages.PageReader(
        accept="application/vnd.github+json",
        authorization=exchange.authorization(query.token),
    )
    found = reader.read(
        f"{query.base_url or BASE_URL}/repos/{query.location}/releases?per_page={PAGE_SIZE}",
        validators=query.validators,
    )
    return pages.answer(found, "list of releases", lambda item: read_release(item, query.options))


def read_release(item: Any, options: Mapping[str, Any]) -> Found | None:
    """Return what a release object says; None for a draft, and where its tag is not of this service."""
    item = exchange.expect_object(item, "release")
    version = exchange.tagged_version(item.get("tag_name"), options)
    if version is None or item.get("draft") is True:
        return None
    choice = assets.choose(_named(item.get("assets")), exchange.text(options.get("asset", "")))
    asset = choice.asset or {}
    return Found(
        version=version,
        artifact_url=exchange.url(asset.get("browser_download_url")),
        artifact_problem=choice.problem,
        checksum=exchange.text(asset.get("digest"), limit=256),
        size_bytes=exchange.size(asset.get("size")),
        published_at=exchange.moment(item.get("published_at")),
        notes=exchange.prose(item.get("body")),
        is_prerelease=item.get("prerelease") is True,
    )


def _named(listed: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the files with finished uploads."""
    files = (
        [asset for asset in listed if isinstance(asset, dict)] if isinstance(listed, list) else []
    )
    return [
        (_name_of(asset), asset) for asset in files if asset.get("state", "uploaded") == "uploaded"
    ]


def _name_of(asset: Mapping[str, Any]) -> str:
    name = exchange.text(asset.get("name"), limit=255)
    return name or exchange.url(asset.get("browser_download_url")).rpartition("/")[2]
