"""Tags of a git repository over HTTPS, as ``git ls-remote --tags`` reads them: the URL to clone from.

Version 2 of the protocol is asked for, and version 0 is read where the server knows no other.
Option: ``artifact_url``, a URL in which ``{version}`` and ``{tag}`` are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from saga_project.shared import http_client
from updates.errors import SourceUnavailable
from updates.releases.sources import exchange, pages, shapes
from updates.releases.sources.exchange import Answer, Found, Query

SHAPE = shapes.Shape(
    reads_as="the URL that the repository is cloned from",
    options=("artifact_url", *shapes.TAGS),
)
SERVICE = "git-upload-pack"
ADVERTISEMENT = f"application/x-{SERVICE}-advertisement"
_PREFIX = "refs/tags/"
_PEELED = "^{}"
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{4}")
_FLUSH, _DELIMITER = "0000", "0001"


def ask(query: Query) -> Answer:
    SHAPE.check(query)
    url = query.location.rstrip("/")
    headers = {"Git-Protocol": "version=2", "Accept": "*/*"}
    if query.token:
        headers["Authorization"] = _authorization(query.token)
    first = _answer(exchange.send(f"{url}/info/refs?service={SERVICE}", headers))
    if not first.headers.get("content-type", "").startswith(ADVERTISEMENT):
        raise SourceUnavailable("The location is no git repository that is served over HTTP.")
    lines = list(_lines(first.body))
    if "version 2" in lines:
        lines = list(_lines(_answer(_list_refs(url, headers, lines)).body))
    tags = {name: commit for commit, name in _tags(lines)}
    found = [
        release for tag, commit in tags.items() if (release := _release(tag, commit, query.options))
    ]
    return pages.listing(found, validators={})


def _authorization(token: str) -> str:
    """Return Basic for every token: git servers take no Bearer, and any user name beside a token."""
    return exchange.authorization(token if ":" in token else f"git:{token}")


def _answer(answer: http_client.Response) -> http_client.Response:
    if answer.status != 200:
        raise exchange.refusal(answer)
    return answer


def _list_refs(url: str, headers: Mapping[str, str], advertised: list[str]) -> http_client.Response:
    """Ask for the tags by the command ls-refs, in the hash that the repository has."""
    formats = [line for line in advertised if line.startswith("object-format=")]
    head = [_line(text) for text in ("command=ls-refs", *formats)]
    arguments = [_line(text) for text in ("peel", f"ref-prefix {_PREFIX}")]
    body = "".join((*head, _DELIMITER, *arguments, _FLUSH))
    own = {
        "Content-Type": f"application/x-{SERVICE}-request",
        "Accept": f"application/x-{SERVICE}-result",
    }
    return exchange.send(f"{url}/{SERVICE}", {**headers, **own}, body=body.encode())


def _line(text: str) -> str:
    return f"{len(text) + 5:04x}{text}\n"


def _lines(body: bytes) -> Iterator[str]:
    """Yield the lines of a body; each begins with its length in four hexadecimal digits."""
    place = 0
    while place < len(body):
        length = _length(body[place : place + 4])
        end = place + max(length, 4)
        if end > len(body):
            raise SourceUnavailable("The source's answer was cut short.")
        if length >= 4:
            yield body[place + 4 : end].decode("utf-8", "replace").rstrip("\n")
        place = end


def _length(digits: bytes) -> int:
    """Return the length that a line declares; 0 to 2 are marks without a text."""
    if _HEXADECIMAL.fullmatch(digits) is None or digits == b"0003":
        raise SourceUnavailable("The source's answer is not of git's protocol.")
    return int(digits, 16)


def _tags(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield commit and tag; what an annotated tag points to comes after the tag itself."""
    for line in lines:
        commit, _, rest = line.partition(" ")
        name, *attributes = rest.partition("\0")[0].split(" ")
        if name.startswith(_PREFIX):
            peeled = [text for text in attributes if text.startswith("peeled:")]
            commit = peeled[0].removeprefix("peeled:") if peeled else commit
            yield commit, name.removeprefix(_PREFIX).removesuffix(_PEELED)


def _release(tag: str, commit: str, options: Mapping[str, object]) -> Found | None:
    version = exchange.tagged_version(tag, options)
    if version is None:
        return None
    return Found(
        version=version,
        artifact_url=exchange.filled(options.get("artifact_url"), version=version, tag=tag),
        notes=exchange.prose(f"Tag {tag}, commit {commit[:64]}."),
    )
