"""PyPI and its mirrors, by the JSON form of the simple index (PEP 691, 700): a package's name."""

from __future__ import annotations

import collections
import fnmatch
import re
from typing import Any

import packaging.utils

from updates.errors import SourceUnavailable
from updates.releases.sources import exchange
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://pypi.org"
_LOCATION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")

File = dict[str, Any]


def ask(query: Query) -> Answer:
    if _LOCATION.fullmatch(query.location) is None:
        raise SourceUnavailable("The location must be the package's name.")
    name = packaging.utils.canonicalize_name(query.location)
    document = exchange.get(
        f"{query.base_url or BASE_URL}/simple/{name}/",
        accept="application/vnd.pypi.simple.v1+json",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    page = exchange.expect_object(document.content, "package")
    files = exchange.expect_list(page.get("files"), "list of files")
    pattern = exchange.text(query.options.get("asset", ""))
    found = [_release(version, own, pattern) for version, own in _by_version(files).items()]
    return Answer(found=exchange.newest(found), validators=document.validators)


def _by_version(files: list[Any]) -> dict[str, list[File]]:
    versions: dict[str, list[File]] = collections.defaultdict(list)
    for file in files:
        if isinstance(file, dict) and (version := _version_of(exchange.text(file.get("filename")))):
            versions[version].append(file)
    return versions


def _version_of(filename: str) -> str | None:
    try:
        if filename.endswith(".whl"):
            return exchange.version(str(packaging.utils.parse_wheel_filename(filename)[1]))
        return exchange.version(str(packaging.utils.parse_sdist_filename(filename)[1]))
    except (packaging.utils.InvalidWheelFilename, packaging.utils.InvalidSdistFilename):
        return None


def _release(version: str, files: list[File], pattern: str) -> Found:
    standing = [file for file in files if not file.get("yanked")]
    file = _choose(standing or files, pattern)
    hashes = file.get("hashes")
    sha256 = exchange.text(hashes.get("sha256"), limit=64) if isinstance(hashes, dict) else ""
    times = [time for each in files if (time := exchange.moment(each.get("upload-time")))]
    return Found(
        version=version,
        artifact_url=exchange.url(file.get("url")),
        checksum=f"sha256:{sha256}" if sha256 else "",
        size_bytes=exchange.size(file.get("size")),
        published_at=min(times, default=None),
        is_withdrawn=not standing,
    )


def _choose(files: list[File], pattern: str) -> File:
    """Return the file that ``pattern`` names; without one, a wheel for any platform, or the source."""
    for wanted in [pattern] if pattern else ["*-none-any.whl", "*.tar.gz", "*"]:
        for file in files:
            if fnmatch.fnmatchcase(exchange.text(file.get("filename")), wanted):
                return file
    return {}
