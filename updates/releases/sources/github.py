"""GitHub releases: ``owner/repository``; ``options`` may name an ``asset`` (glob) and a ``tag_prefix``."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from updates.errors import SourceUnavailable
from updates.releases.sources import exchange
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://api.github.com"
_LOCATION = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_ARCHIVES = (".tar.gz", ".tgz", ".tar.xz", ".zip")


def ask(query: Query) -> Answer:
    if _LOCATION.fullmatch(query.location) is None:
        raise SourceUnavailable("The location must be owner/repository.")
    document = exchange.get(
        f"{query.base_url or BASE_URL}/repos/{query.location}/releases"
        f"?per_page={exchange.MAX_RELEASES}",
        accept="application/vnd.github+json",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    items = exchange.expect_list(document.content, "list of releases")
    found = [release for item in items if (release := _release(item, query))]
    return Answer(found=exchange.newest(found), validators=document.validators)


def _release(item: Any, query: Query) -> Found | None:
    item = exchange.expect_object(item, "release")
    prefix = exchange.text(query.options.get("tag_prefix", ""))
    version = exchange.version(item.get("tag_name"), prefix=prefix)
    if version is None or item.get("draft") is True:
        return None
    asset = _asset(item.get("assets"), exchange.text(query.options.get("asset", "")))
    return Found(
        version=version,
        artifact_url=exchange.url(asset.get("browser_download_url")),
        checksum=exchange.text(asset.get("digest"), limit=256),
        size_bytes=exchange.size(asset.get("size")),
        published_at=exchange.moment(item.get("published_at")),
        notes=exchange.text(item.get("body"), limit=64 * 1024),
        is_prerelease=item.get("prerelease") is True,
    )


def _asset(assets: Any, pattern: str) -> dict[str, Any]:
    """Return the asset that ``pattern`` names; without one, the first archive, or the only file."""
    files = (
        [asset for asset in assets if isinstance(asset, dict)] if isinstance(assets, list) else []
    )
    named = [(exchange.text(asset.get("name"), limit=255), asset) for asset in files]
    if pattern:
        fit = [asset for name, asset in named if fnmatch.fnmatchcase(name, pattern)]
    else:
        fit = [asset for name, asset in named if name.endswith(_ARCHIVES)]
        fit = fit or (files if len(files) == 1 else [])
    return fit[0] if fit else {}
