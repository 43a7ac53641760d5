"""Releases of Gitea, Forgejo and Gogs: ``owner/repository`` on the server that the base URL names."""

from __future__ import annotations

import re

from updates.errors import SourceUnavailable
from updates.releases.sources import exchange, github, pages
from updates.releases.sources.exchange import Answer, Query

#: The servers cut longer pages to their own limit, which is 50 unless it was changed.
PAGE_SIZE = 50
_LOCATION = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


def ask(query: Query) -> Answer:
    """Ask the API, which describes a release as GitHub's does."""
    if _LOCATION.fullmatch(query.location) is None:
        raise SourceUnavailable("The location must be owner/repository.")
    if not query.base_url:
        raise SourceUnavailable("The base URL must name the Gitea or Forgejo server.")
    found = pages.PageReader(authorization=exchange.authorization(query.token)).read(
        f"{query.base_url}/api/v1/repos/{query.location}/releases?limit={PAGE_SIZE}",
        validators=query.validators,
    )
    return pages.answer(
        found, "list of releases", lambda item: github.read_release(item, query.options)
    )
