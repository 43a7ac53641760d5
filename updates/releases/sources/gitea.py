"""Releases of Gitea, Forgejo and Gogs: ``owner/repository`` on the server that the base URL names."""

from __future__ import annotations

import re

from updates.releases.sources import exchange, github, pages, shapes
from updates.releases.sources.exchange import Answer, Query

#: The servers cut longer pages to their own limit, which is 50 unless it was changed.
PAGE_SIZE = 50
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}"),
    reads_as="owner/repository",
    server="the Gitea or Forgejo server",
    options=("asset", *shapes.TAGS),
)


def ask(query: Query) -> Answer:
    """Ask the API, which describes a release as GitHub's does."""
    SHAPE.check(query)
    found = pages.PageReader(authorization=exchange.authorization(query.token)).read(
        f"{query.base_url}/api/v1/repos/{query.location}/releases?limit={PAGE_SIZE}",
        validators=query.validators,
    )
    return pages.answer(
        found, "list of releases", lambda item: github.read_release(item, query.options)
    )
