"""Lists of several pages: read to their end, or with the word that they were not."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from updates.errors import SourceUnavailable
from updates.releases.sources import exchange
from updates.releases.sources.exchange import Answer, Document, Found

_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')


class Limit:
    """The bound of one visit to a list that goes on: so many pages, in so many seconds."""

    def __init__(self) -> None:
        self._pages_left: int = settings.SAGA_SOURCE_MAX_PAGES
        self._ends_at = time.monotonic() + settings.SAGA_SOURCE_MAX_SECONDS

    def seconds_left(self) -> float:
        return self._ends_at - time.monotonic()

    def allows_another(self) -> bool:
        """Count one page more; False where the bound is reached. The first is always allowed."""
        is_first = self._pages_left == settings.SAGA_SOURCE_MAX_PAGES
        self._pages_left -= 1
        return is_first or (self._pages_left >= 0 and self.seconds_left() > 0)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages of a list; ``contents`` is None where the source says that nothing changed."""

    contents: list[Any] | None
    validators: Mapping[str, str]
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class PageReader:
    """Follows the ``Link`` header to the end of a list, or to the bound of pages and seconds."""

    accept: str = "application/json"
    authorization: str = ""

    def read(self, url: str, *, validators: Mapping[str, str]) -> Pages:
        known = _known_pages(validators)
        limit = Limit()
        if known and all(
            limit.allows_another() and self._is_unchanged(page, etag) for page, etag in known
        ):
            return Pages(contents=None, validators=validators)
        return self._read_all(url)

    def _is_unchanged(self, url: str, etag: str) -> bool:
        return self._get(url, {"etag": etag}).content is None

    def _read_all(self, url: str) -> Pages:
        limit = Limit()
        here: str | None = url
        contents: list[Any] = []
        etags: list[tuple[str, str]] = []
        while here is not None:
            if not limit.allows_another():
                return Pages(contents=contents, validators={}, is_whole=False)
            page = self._get(here, {})
            contents.append(page.content)
            etags.append((here, page.validators.get("etag", "")))
            here = next_page(here, page.headers)
        has_all = all(etag for _, etag in etags)
        return Pages(contents=contents, validators={"pages": json.dumps(etags)} if has_all else {})

    def _get(self, url: str, validators: Mapping[str, str]) -> Document:
        return exchange.get(
            url, accept=self.accept, authorization=self.authorization, validators=validators
        )


def _known_pages(validators: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(url, etag) for url, etag in json.loads(validators.get("pages", "[]"))]


def next_page(url: str, headers: Mapping[str, str]) -> str | None:
    """Return where the list goes on; raises SourceUnavailable where that is another server."""
    more = _NEXT.search(headers.get("link", ""))
    if more is None:
        return None
    following: str = urllib.parse.urljoin(url, str(more[1]))
    if urllib.parse.urlsplit(following)[:2] != urllib.parse.urlsplit(url)[:2]:
        raise SourceUnavailable("The source's list goes on at another server.")
    return following


def answer(pages: Pages, what: str, read_item: Callable[[Any], Found | None]) -> Answer:
    """Read the items of the pages; of long histories the newest are kept."""
    if pages.contents is None:
        return Answer(found=None, validators=pages.validators)
    items = [item for page in pages.contents for item in exchange.expect_list(page, what)]
    found = [release for item in items if (release := read_item(item))]
    return listing(found, validators=pages.validators, is_whole=pages.is_whole, entries=len(items))


def listing(
    found: list[Found],
    *,
    validators: Mapping[str, str],
    is_whole: bool = True,
    is_partial: bool = False,
    entries: int = 0,
) -> Answer:
    """Return the newest of what was found, and whether that was all.

    A partial list is whole, but names only some of the versions that there are: none is withdrawn for it.
    """
    warning = f"The source's list was not read to its end, but to its entry {entries:,}."
    return Answer(
        found=exchange.newest(found),
        validators=validators,
        listed=frozenset(release.version for release in found)
        if is_whole and not is_partial
        else None,
        warning="" if is_whole else warning,
    )
