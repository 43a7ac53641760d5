"""GitLab releases: ``group/project``, with any depth of groups.

Options: ``asset`` (a glob for the name of a release link), ``tag_prefix``, ``tag_pattern``. The archives of
the source code are no artifacts.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from updates.releases.sources import assets, exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://gitlab.com"
PAGE_SIZE = 100
SHAPE = shapes.Shape(
    location=re.compile(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}){1,20}"
    ),
    reads_as="group/project",
    options=("asset", *shapes.TAGS),
)


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    project = urllib.parse.quote(query.location, safe="")
    found = pages.PageReader(authorization=exchange.authorization(query.token)).read(
        f"{query.base_url or BASE_URL}/api/v4/projects/{project}/releases?per_page={PAGE_SIZE}",
        validators=query.validators,
    )
    return pages.answer(found, "list of releases", lambda item: read_release(item, query.options))


def read_release(item: Any, options: Mapping[str, Any]) -> Found | None:
    """Return what a release object says; None for one to come, and where its tag is not of this service."""
    item = exchange.expect_object(item, "release")
    version = exchange.tagged_version(item.get("tag_name"), options)
    if version is None or item.get("upcoming_release") is True:
        return None
    choice = assets.choose(_links(item.get("assets")), exchange.text(options.get("asset", "")))
    link = choice.asset or {}
    return Found(
        version=version,
        artifact_url=exchange.url(link.get("direct_asset_url") or link.get("url")),
        artifact_problem=choice.problem,
        published_at=exchange.moment(item.get("released_at")),
        notes=exchange.prose(item.get("description")),
    )


def _links(listed: Any) -> list[tuple[str, Mapping[str, Any]]]:
    links = listed.get("links") if isinstance(listed, dict) else None
    known = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return [(exchange.text(link.get("name"), limit=255), link) for link in known]
