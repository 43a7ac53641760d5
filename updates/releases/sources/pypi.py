"""PyPI and its mirrors, by the simple index as JSON (PEP 691, 700) or HTML (PEP 503): a package's name."""

from __future__ import annotations

import collections
import fnmatch
import html.parser
import re
import urllib.parse
from typing import Any

import packaging.utils

from saga_project.shared import http_client
from updates.releases.sources import assets, exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

BASE_URL = "https://pypi.org"
SHAPE = shapes.Shape(
    location=re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"),
    reads_as="the package's name",
    options=("asset",),
)

_ANCHOR = re.compile(rb"<a\s[^>]*href", re.IGNORECASE)

File = dict[str, Any]


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    name = packaging.utils.canonicalize_name(query.location)
    page_url = f"{query.base_url or BASE_URL}/simple/{name}/"
    document = exchange.get(
        page_url,
        accept="application/vnd.pypi.simple.v1+json",
        authorization=exchange.authorization(query.token),
        validators=query.validators,
        parse=_parse,
    )
    if document.content is None:
        return Answer(found=None, validators=document.validators)
    page = exchange.expect_object(document.content, "package")
    files = exchange.expect_list(page.get("files"), "list of files")
    pattern = exchange.text(query.options.get("asset", ""))
    found = [
        _release(version, own, pattern, page_url) for version, own in _by_version(files).items()
    ]
    return pages.listing(found, validators=document.validators)


def _parse(answer: http_client.Response) -> Any:
    """Read JSON, or the HTML that an index without the JSON form sends whatever it is asked for."""
    is_html = answer.headers.get("content-type", "").lower().startswith("text/html")
    if is_html and _ANCHOR.search(answer.body):
        reader = _Html()
        reader.feed(answer.body.decode("utf-8", "replace"))
        return {"files": reader.files}
    return exchange.read(answer.body)


class _Html(html.parser.HTMLParser):
    """Gathers the anchors of a PEP 503 page as the files of PEP 691."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[File] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag != "a" or not named.get("href"):
            return
        url, _, fragment = (named["href"] or "").partition("#")
        algorithm, _, digest = fragment.partition("=")
        self.files.append(
            {
                "filename": urllib.parse.unquote(url.partition("?")[0].rpartition("/")[2]),
                "url": url,
                "hashes": {algorithm: digest} if algorithm == "sha256" else {},
                "yanked": "data-yanked" in named,
            }
        )


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


def _release(version: str, files: list[File], pattern: str, page_url: str) -> Found:
    standing = [file for file in files if not file.get("yanked")]
    choice = _choose(standing or files, pattern)
    file = choice.asset or {}
    hashes = file.get("hashes")
    sha256 = exchange.text(hashes.get("sha256"), limit=64) if isinstance(hashes, dict) else ""
    times = [time for each in files if (time := exchange.moment(each.get("upload-time")))]
    return Found(
        version=version,
        artifact_url=_absolute(exchange.text(file.get("url")), page_url),
        artifact_problem=choice.problem,
        checksum=f"sha256:{sha256}" if sha256 else "",
        size_bytes=exchange.size(file.get("size")),
        published_at=min(times, default=None),
        is_withdrawn=not standing,
    )


def _absolute(url: str, page_url: str) -> str:
    """PEP 691 allows a file's URL to be relative to the page."""
    try:
        return exchange.url(urllib.parse.urljoin(page_url, url)) if url else ""
    except ValueError:
        return ""


def _choose(files: list[File], pattern: str) -> assets.AssetChoice:
    """Return the file that ``pattern`` names; without one, a wheel for any platform, or the source."""
    named = [(exchange.text(file.get("filename")), file) for file in files]
    for usual in () if pattern else ("*-none-any.whl", "*.tar.gz"):
        # Of several, the last by its name is for the newer Python: py2, py3.
        for _, file in sorted(
            (pair for pair in named if fnmatch.fnmatchcase(pair[0], usual)), reverse=True, key=_name
        ):
            return assets.AssetChoice(asset=file)
    return assets.choose(named, pattern)


def _name(pair: tuple[str, File]) -> str:
    return pair[0]
