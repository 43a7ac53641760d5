"""Objects of an S3-style bucket (S3, MinIO, R2, Google's XML API), by ListObjectsV2: the bucket's URL.

Options: ``key_prefix``; ``key_pattern``, a regular expression for the rest of the key with a group
``(?<version>…)``; ``asset``, a glob where several objects are of one version. The bucket allows listing its
objects without a signature, or takes the source's token.
"""

from __future__ import annotations

import collections
import urllib.parse
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from saga_project.shared import http_client
from updates.errors import SourceUnavailable
from updates.releases.sources import assets, exchange, pages, shapes, xml_documents
from updates.releases.sources.exchange import Answer, Found, Query

SHAPE = shapes.Shape(
    reads_as="the bucket's URL",
    options=("key_prefix", "key_pattern", "asset"),
    needed=("key_pattern",),
)
PAGE_SIZE = 1000
Item = dict[str, Any]


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    bucket = query.location.rstrip("/")
    limit = pages.Limit()
    items: list[Item] = []
    token: str | None = ""
    while token is not None and limit.allows_another():
        listed, token = _page(bucket, query, token)
        items += listed
    by_version = _by_version(items, query.options)
    pattern = exchange.text(query.options.get("asset", ""))
    found = [_release(bucket, version, own, pattern) for version, own in by_version.items()]
    return pages.listing(found, validators={}, is_whole=token is None, entries=len(items))


def _page(bucket: str, query: Query, token: str) -> tuple[list[Item], str | None]:
    """Return the objects of a page and the token of the next, None after the last."""
    wanted = {"list-type": "2", "max-keys": str(PAGE_SIZE)}
    if prefix := exchange.text(query.options.get("key_prefix", "")):
        wanted["prefix"] = prefix
    if token:
        wanted["continuation-token"] = token
    document = exchange.get(
        f"{bucket}/?{urllib.parse.urlencode(wanted)}",
        accept="application/xml, */*",
        authorization=exchange.authorization(query.token),
        parse=_parse,
    )
    root: Element = document.content
    items = [_item(element) for element in root.findall("Contents")]
    if xml_documents.text_at(root, "IsTruncated").lower() != "true":
        return items, None
    following = xml_documents.text_at(root, "NextContinuationToken")
    if not following or following == token:
        raise SourceUnavailable("The source's list goes on, but does not say where.")
    return items, following


def _parse(answer: http_client.Response) -> Element:
    return xml_documents.read(answer.body, root="ListBucketResult")


def _item(element: Element) -> Item:
    size = xml_documents.text_at(element, "Size")
    return {
        "key": exchange.text(element.findtext("Key") or ""),
        "size": int(size) if size.isascii() and size.isdigit() and len(size) <= 18 else None,
        "modified": xml_documents.text_at(element, "LastModified"),
    }


def _by_version(items: list[Item], options: Mapping[str, Any]) -> dict[str, list[Item]]:
    names = {
        "tag_prefix": options.get("key_prefix", ""),
        "tag_pattern": options.get("key_pattern", ""),
    }
    versions: dict[str, list[Item]] = collections.defaultdict(list)
    for item in items:
        is_file = item["key"] and not item["key"].endswith("/")
        if is_file and (version := exchange.tagged_version(item["key"], names)):
            versions[version].append(item)
    return versions


def _release(bucket: str, version: str, items: list[Item], pattern: str) -> Found:
    choice = assets.choose([(item["key"].rpartition("/")[2], item) for item in items], pattern)
    item = choice.asset or {}
    place = f"{bucket}/{urllib.parse.quote(item['key'])}" if item else ""
    return Found(
        version=version,
        artifact_url=exchange.url(place),
        artifact_problem=choice.problem,
        size_bytes=exchange.size(item.get("size")),
        published_at=exchange.moment(item.get("modified")),
    )
