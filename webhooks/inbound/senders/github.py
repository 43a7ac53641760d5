"""GitHub's own payloads, read as what the update route takes; pure.

A repository's webhook knows nothing of our fields: the service has the repository's name, a published
release is an announcement of its tag and first asset, and everything else is none of our business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

EVENT_HEADER = "x-github-event"
IGNORED = "ignored"
_VERSION_TAG = re.compile(r"v(?=[0-9])")


def is_native(headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    return EVENT_HEADER in headers and "service_name" not in document


def read(headers: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an update, or the service's name and the reason why there is none."""
    repository = document.get("repository")
    name = repository.get("name") if isinstance(repository, dict) else None
    fields: dict[str, Any] = {} if name is None else {"service_name": name}
    event, action = headers[EVENT_HEADER], document.get("action")
    release = document.get("release")
    if event != "release" or action != "published" or not isinstance(release, dict):
        return {**fields, IGNORED: f"Nothing follows from GitHub's event '{event[:64]}'."}
    return {**fields, **_announcement(release)}


def _announcement(release: Mapping[str, Any]) -> dict[str, Any]:
    tag, assets = release.get("tag_name"), release.get("assets")
    version = _VERSION_TAG.sub("", tag, count=1) if isinstance(tag, str) else tag
    first = assets[0] if isinstance(assets, list) and assets else None
    if not isinstance(first, dict):
        url, kind = release.get("tarball_url"), "archive"
    else:
        url, kind = first.get("browser_download_url"), "binary"
    digest = first.get("digest") if isinstance(first, dict) else None
    return {
        "version": version,
        "artifact_url": url,
        "artifact_type": kind,
        "checksum": digest if isinstance(digest, str) else None,
    }
