"""A JSON document with JSON pointers (RFC 6901) to the version and to whatever else it says.

``options["pointers"]`` names at least ``version``; also ``url``, ``checksum``, ``size``, ``published_at``,
``notes`` and ``channel``. With ``list``, that one leads to an array and the others start at its items.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from updates.errors import SourceUnavailable
from updates.releases.sources import exchange, shapes
from updates.releases.sources.exchange import Answer, Found, Query

SHAPE = shapes.Shape(reads_as="the document's URL", options=("pointers",), needed=("pointers",))


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    pointers = query.options.get("pointers")
    if not isinstance(pointers, dict) or not pointers.get("version"):
        raise SourceUnavailable("The source's options name no pointer to the version.")
    document = exchange.get(
        query.location,
        authorization=exchange.authorization(query.token),
        validators=query.validators,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    items = [document.content]
    if isinstance(pointers.get("list"), str):  # the empty pointer leads to the document itself
        items = exchange.expect_list(follow(document.content, pointers["list"]), "list of releases")
    found = [release for item in items if (release := _release(item, pointers))]
    if not found:
        raise SourceUnavailable("The pointer to the version leads to no version.")
    return Answer(found=exchange.newest(found), validators=document.validators)


def _release(item: Any, pointers: Mapping[str, Any]) -> Found | None:
    def at(name: str) -> Any:
        return follow(item, pointers[name]) if pointers.get(name) else None

    named = at("version")
    if isinstance(named, (int, float)):
        raise SourceUnavailable(
            f"The pointer to the version leads to the number {named}, which is no version:"
            ' a version is text, such as "1.10".'
        )
    version = exchange.version(named)
    if version is None:
        return None
    return Found(
        version=version,
        artifact_url=exchange.url(at("url")),
        checksum=exchange.text(at("checksum"), limit=256),
        size_bytes=exchange.size(at("size")),
        published_at=exchange.moment(at("published_at")),
        notes=exchange.prose(at("notes")),
        channel=exchange.text(at("channel"), limit=64),
    )


def follow(document: Any, pointer: Any) -> Any:
    """Return what ``pointer`` leads to, None where it leads nowhere."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise SourceUnavailable("A pointer is text such as /latest/version.")
    here = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict):
            here = here.get(name)
        elif isinstance(here, list) and name.isascii() and name.isdigit() and len(name) <= 6:
            here = here[int(name)] if int(name) < len(here) else None
        else:
            return None
    return here
