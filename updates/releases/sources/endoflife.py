"""Products as endoflife.date lists them: the newest version of each release cycle, by a product's name.

Option: ``artifact_url``, a URL in which ``{version}`` is filled in, since the list has no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from updates.releases.sources import exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://endoflife.date"
SHAPE = shapes.Shape(
    location=re.compile(r"[a-z0-9][a-z0-9._+-]{0,127}"),
    reads_as="the product's name as in the page's address, such as python",
    options=("artifact_url", *shapes.TAGS),
)


def ask(query: Query) -> Answer:
    """Ask for the cycles. Versions that a newer one of its cycle replaced are not listed, nor withdrawn."""
    SHAPE.check(query)
    document = exchange.get(
        f"{query.base_url or BASE_URL}/api/{query.location}.json",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    cycles = exchange.expect_list(document.content, "list of release cycles")
    found = [release for cycle in cycles if (release := _release(cycle, query.options))]
    return pages.listing(found, validators=document.validators, is_partial=True)


def _release(cycle: Any, options: Mapping[str, Any]) -> Found | None:
    cycle = exchange.expect_object(cycle, "release cycle")
    tag = cycle.get("latest")
    version = exchange.tagged_version(tag, options)
    if version is None:
        return None
    is_first = cycle.get("latestReleaseDate") is None
    published_at = cycle.get("releaseDate") if is_first else cycle["latestReleaseDate"]
    return Found(
        version=version,
        artifact_url=exchange.filled(options.get("artifact_url"), version=version, tag=str(tag)),
        published_at=exchange.moment(published_at),
        notes=_notes(cycle),
    )


def _notes(cycle: Mapping[str, Any]) -> str:
    name, ends_at = exchange.text(cycle.get("cycle"), limit=64), cycle.get("eol")
    if ends_at is True:
        return f"Release cycle {name} is no longer supported."
    if isinstance(ends_at, str) and exchange.moment(ends_at):
        return f"Release cycle {name} is supported until {ends_at}."
    return f"Release cycle {name}."
