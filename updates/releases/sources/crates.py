"""Crates of crates.io and of other Cargo registries, by the sparse index: a crate's name.

The index has no times in its older lines; where a policy waits for a minimum age, the registry's API is asked
for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from saga_project.shared import http_client
from updates.releases.sources import exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://index.crates.io"
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}"), reads_as="the crate's name"
)


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    base_url = query.base_url or BASE_URL
    # Cargo sends a registry's token as it is, without a scheme.
    document = exchange.get(
        f"{base_url}/{_path(query.location.lower())}",
        accept="text/plain, */*",
        authorization=query.token,
        validators=query.validators,
        parse=_lines,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    config = exchange.get(f"{base_url}/config.json", authorization=query.token).content
    config = exchange.expect_object(config, "configuration of the registry")
    template = exchange.text(config.get("dl"))
    times = _times(config, query, document.content)
    found = [_release(line, template, times) for line in document.content]
    return pages.listing(found, validators=document.validators)


def _path(name: str) -> str:
    """Return where the index keeps a crate, as Cargo lays it out."""
    return f"{_prefix(name)}/{name}"


def _prefix(name: str) -> str:
    if len(name) <= 2:
        return str(len(name))
    return f"3/{name[0]}" if len(name) == 3 else f"{name[:2]}/{name[2:4]}"


def _lines(answer: http_client.Response) -> list[dict[str, Any]]:
    lines = [exchange.read(line) for line in answer.body.splitlines() if line.strip()]
    crates = [exchange.expect_object(line, "crate in each line") for line in lines]
    return [crate for crate in crates if exchange.version(crate.get("vers"))]


def _times(config: Mapping[str, Any], query: Query, crates: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the times of publication by version, from the API where the index lacks some."""
    known = {crate["vers"]: crate.get("pubtime") for crate in crates}
    api = exchange.url(config.get("api")).rstrip("/")
    if all(known.values()) or not api or not query.needs_times:
        return known
    listed = exchange.get(f"{api}/api/v1/crates/{query.location}/versions").content
    items = exchange.expect_list(
        listed.get("versions") if isinstance(listed, dict) else None, "versions"
    )
    times = {item.get("num"): item.get("created_at") for item in items if isinstance(item, dict)}
    return {version: time or times.get(version) for version, time in known.items()}


def _release(crate: Mapping[str, Any], template: str, times: Mapping[str, Any]) -> Found:
    version, digest = crate["vers"], exchange.text(crate.get("cksum"), limit=64)
    return Found(
        version=version,
        artifact_url=_download_url(crate, template),
        checksum=f"sha256:{digest}" if digest else "",
        published_at=exchange.moment(times.get(version)),
        is_withdrawn=crate.get("yanked") is True,
    )


def _download_url(crate: Mapping[str, Any], template: str) -> str:
    """Fill Cargo's markers into ``dl``, or append what Cargo does where it has none."""
    name = exchange.text(crate.get("name"), limit=64)
    markers = {
        "{crate}": name,
        "{version}": crate["vers"],
        "{prefix}": _prefix(name),
        "{lowerprefix}": _prefix(name.lower()),
        "{sha256-checksum}": exchange.text(crate.get("cksum"), limit=64),
    }
    if not any(marker in template for marker in markers):
        template = f"{template}/{{crate}}/{{version}}/download"
    for marker, value in markers.items():
        template = template.replace(marker, value)
    return exchange.url(template)
